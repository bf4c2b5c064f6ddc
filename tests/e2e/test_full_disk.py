"""Files that cannot grow, as on a full disk: old outputs stay, nothing is half recorded, and space mends all."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.project import DEADLINE_S, NBDAG, await_true, kill

pytestmark = pytest.mark.fault

UNCOMPILED = {"PYTHONDONTWRITEBYTECODE": "1"}
"""Python takes a module that it could only write by half for a whole one, in every later process."""


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
        env=project.environment(UNCOMPILED),
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


def test_a_disk_that_fills_up_in_an_attempt_ends_it_in_one_sentence(project):
    """With the path of the file that has no room, and no traceback of ours."""
    project.pipeline(f"""
        [tasks.above]
        command = "echo {{text}} > above.txt"
        parameters = {{ text = "{"x" * 100_000}" }}
        outputs = ["above.txt"]

        [tasks.below]
        command = "cat above.txt > below.txt"
        inputs = ["above.txt"]
        outputs = ["below.txt"]
    """)
    project.build("above").ran("above")
    limited = subprocess.run(
        ["sh", "-c", 'ulimit -f 100; trap "" XFSZ; exec "$@"', "sh", *NBDAG, "build"],
        cwd=project.root,
        env=project.environment(UNCOMPILED),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert limited.returncode in {1, 3}, limited.stderr
    assert "File too large: " in limited.stderr
    assert "/upstream-" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert "attempt.py" not in limited.stderr
    project.build().ran("below")


def test_a_full_disk_under_the_summary_is_one_sentence_with_its_path(project):
    """What was built stays."""
    project.pipeline('[tasks.a]\ncommand = "echo 1 > a.txt"\noutputs = ["a.txt"]\n')
    (project / "summary.json").symlink_to("/dev/full")
    done = project.nbdag("build", "--summarize=summary.json")
    assert done.returncode == 3
    assert "error: No space left on device: summary.json" in done.stderr
    assert "defect" not in done.stderr
    project.build().ran()


@pytest.mark.netns
@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param("ro", "there is no folder for the sockets of a build", id="read-only"),
        pytest.param("nr_inodes=1", "No space left on device: ", id="full"),
    ],
)
def test_a_folder_for_sockets_that_takes_no_file_is_no_defect(project, options, says):
    """Where it is, and how to go on: another one can be named."""
    project.pipeline('[tasks.a]\ncommand = "echo 1 > a.txt"\noutputs = ["a.txt"]\n')
    sockets = f"/tmp/nbdag-{os.getuid()}"
    os.makedirs(sockets, mode=0o700, exist_ok=True)
    mount = f'mount -t tmpfs -o mode=700,{options} none {sockets} && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", *NBDAG, "build"],
        cwd=project.root,
        env=project.environment({"TMPDIR": "", "XDG_RUNTIME_DIR": ""}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert says in done.stderr
    assert sockets in done.stderr
    assert "hint: set TMPDIR to a folder that you may write to" in done.stderr
    assert "defect" not in done.stderr
    project.build().ran("a")


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
