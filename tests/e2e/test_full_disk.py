"""Files that cannot grow, as on a full disk: old outputs stay, nothing is half recorded, and space mends all."""

from __future__ import annotations

import subprocess

import pytest

from tests.project import DEADLINE_S, NBDAG, await_true, kill


@pytest.mark.parametrize(
    ("blocks", "code", "said"),
    [
        pytest.param(1, 3, "error: File too large", id="no room for the journal"),
        pytest.param(16, 1, "declared but not written", id="no room for an output"),
    ],
)
def test_without_room_a_build_fails_as_if_it_had_never_begun(project, blocks, code, said):
    """In one sentence, without a traceback; with room the next build does it all."""
    outputs = [f"out/{number}-{'x' * 100}.txt" for number in range(10)]
    command = "; ".join(f"seq 10000 > {output} || exit 0" for output in outputs)
    project.pipeline(f'[tasks.make]\ncommand = "{command}"\noutputs = {outputs}\n'.replace("'", '"'))
    project.write(outputs[0], "old")
    limited = subprocess.run(
        ["sh", "-c", f'ulimit -f {blocks}; trap "" XFSZ; exec "$@"', "sh", *NBDAG, "build"],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert limited.returncode == code, limited.stderr
    assert said in limited.stderr
    assert "Traceback" not in limited.stderr
    assert "defect" not in limited.stderr
    assert project.contents(["out"]) == {outputs[0]: b"old"}
    project.build().ran("make")
    assert len(project.contents(["out"])) == 10
    project.build().ran().restored()


def test_what_a_task_logs_lies_beside_the_cache(project):
    """The folders for sockets are often small; what a killed build left is removed by the next."""
    attempts = project / ".nbdag/state/attempts"
    project.pipeline("""
        [tasks.log]
        command = "echo $NBDAG_ARTIFACTS > place.txt; touch begun; sleep $(cat seconds)"
        inputs = ["seconds"]
        outputs = ["place.txt"]
    """)
    project.write("seconds", "0").build().ran("log")
    assert project.read("place.txt").startswith(f"{attempts}/")
    assert list(attempts.iterdir()) == []
    project.remove("begun").write("seconds", "1000")
    build = project.start("build")
    await_true((project / "begun").exists, 60, "it did not begin")
    kill(build)
    assert len(list(attempts.iterdir())) == 1
    project.write("seconds", "0").build("-B").ran("log")
    assert list(attempts.iterdir()) == []
