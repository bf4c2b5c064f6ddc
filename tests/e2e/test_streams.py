"""Where a command's words go: closed streams, readers that leave, full disks, a terminal that is closed."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import termios
from pathlib import Path

import pytest

from nbmake_dag_reporting.runs import find_run, read_run
from tests.support.project import NBDAG, Project, await_true

pytestmark = pytest.mark.timing

COMMAND = shlex.join(NBDAG)


@pytest.fixture
def copies(project: Project) -> Project:
    """Three tasks, one after the other."""
    return project.pipeline("""
        [tasks.copy]
        command = "echo {number} > {number}.out"
        matrix = { number = [1, 2, 3] }
        outputs = ["{number}.out"]
    """)


def _shell(project: Project, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_build_with_closed_streams_builds(copies: Project, closed: str) -> None:
    """No file of the build takes the place of a stream: nothing that is said lands in it."""
    done = _shell(copies, f"{COMMAND} build {closed}")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert [copies.read(f"{number}.out") for number in (1, 2, 3)] == ["1\n", "2\n", "3\n"]
    assert read_run(find_run(str(copies / ".nbdag/runs"), "latest")).result == "success"
    copies.build().ran()


def test_a_build_goes_on_when_its_reader_has_gone(copies: Project) -> None:
    """As with ``head``; the result is that of the build."""
    done = _shell(copies, f"{COMMAND} build -j1 2>&1 | head -n 1")
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)
    copies.build().ran()


@pytest.mark.parametrize("command", ["status --json", "runs", "schema", "graph", "--help", "build --dry-run"])
def test_a_command_whose_reader_has_gone_ends_in_silence(copies: Project, command: str) -> None:
    """What was said is not wanted any more, and that is no error."""
    copies.build().ran("copy[number=1]", "copy[number=2]", "copy[number=3]")
    done = _shell(copies, f"{COMMAND} {command} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_words_that_find_no_room_are_an_error_of_the_machine(copies: Project) -> None:
    """A build is not, for its words are not its result."""
    assert _shell(copies, f"{COMMAND} build 2>/dev/full").returncode == 0
    status = _shell(copies, f"{COMMAND} status --json > /dev/full")
    assert status.returncode == 3
    assert status.stderr.startswith("error: No space left on device\n")


def test_a_build_ends_with_its_terminal(project: Project) -> None:
    """Closing the window ends what runs in it, and leaves nobody."""
    project.pipeline('[tasks.endless]\nnotebook = "endless.py"\n')
    project.notebook("endless.py", "import pathlib, time\npathlib.Path('../begun').touch()\ntime.sleep(3600)")
    master, slave = os.openpty()
    build = subprocess.Popen(
        [*NBDAG, "build"],
        cwd=project.root,
        env=project.environment({"TERM": "xterm"}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # no thread has begun
    )
    os.close(slave)
    begun: Path = project.root.parent / "begun"
    await_true(begun.exists, 60, "the notebook did not begin")
    os.close(master)
    assert build.wait(15) == 128 + signal.SIGHUP
    project.leaves_nobody(within_s=5)
    assert read_run(find_run(str(project / ".nbdag/runs"), "latest")).result == "cancellation"
