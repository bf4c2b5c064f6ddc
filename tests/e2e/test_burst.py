"""Many builds that miss the same record at once: one executes, the others wait for its result."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_shared_cache import SHARED, clone, shared_files
from tests.support.project import NBDAG, Project, await_true


def _begin(project: Project) -> subprocess.Popen[bytes]:
    with (project.root / "said.log").open("wb") as log:
        return subprocess.Popen(
            [*NBDAG, "build", "--executor=inline"],
            cwd=project.root,
            env=project.environment(),
            stdout=log,
            stderr=log,
        )


def _log(project: Project) -> str:
    return (project.root / "said.log").read_text()


@pytest.mark.parametrize(
    ("end", "code", "executions"),
    [
        pytest.param("echo done > one.txt", 0, 1, id="success"),
        pytest.param("exit 3", 1, 4, id="failure", marks=pytest.mark.slow),
    ],
)
def test_a_burst_executes_once_or_fails_at_once(project: Project, end: str, code: int, executions: int):
    """The first clone executes and three say that they wait; its failure lets all of them try, side by side."""
    folder = project.root.parent
    begun, go = folder / "begun", folder / "go"
    project.pipeline(
        SHARED
        + f"""
        [tasks.slow]
        command = "echo x >> {begun}; while ! test -e {go}; do sleep 0.05; done; {end}"
        outputs = ["one.txt"]
        """
    )
    others = [clone(project, f"clone{number}") for number in range(3)]
    running = [_begin(project)]
    await_true(begun.exists, 60, "the first build did not begin")
    running += [_begin(other) for other in others]
    await_true(
        lambda: all("waiting for its result" in _log(other) for other in others), 60, "a build does not wait"
    )
    assert _lines(begun) == 1
    go.touch()
    assert [build.wait(120) for build in running] == [code] * 4
    assert _lines(begun) == executions
    assert all(("1 restored" in _log(other)) is (code == 0) for other in others)
    assert shared_files(project, "claims") == []


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())
