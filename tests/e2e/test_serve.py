"""`nbdag build --serve`: how long it serves, and when it does not."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import urllib.request

import pytest

from tests.support.project import NBDAG, Project, await_true

pytestmark = pytest.mark.timing


@pytest.fixture
def failing(project: Project) -> Project:
    return project.pipeline('[tasks.wrong]\ncommand = "exit 3"\noutputs = ["wrong.out"]\n')


def test_without_a_terminal_it_ends_with_the_build(failing: Project) -> None:
    """In a script nobody waits; the report has the run."""
    done = failing.nbdag("build", "--serve")
    assert done.returncode == 1
    assert re.match(r"live view: http://127\.0\.0\.1:\d+/[\w-]{22}/\n", done.stderr)
    assert "until Ctrl-C" not in done.stderr
    assert "failure" in failing.read(".nbdag/site/index.html")


def test_on_a_terminal_it_serves_until_interrupted(failing: Project) -> None:
    """After the build the page is there until Ctrl-C; the exit code is that of the build."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*NBDAG, "build", "--serve"], cwd=failing.root, env=failing.environment(), stdin=theirs, stderr=theirs
    )
    os.close(theirs)
    said = bytearray()

    def serves() -> bool:
        said.extend(os.read(ours, 4096))
        return b"until Ctrl-C" in said

    await_true(serves, 60, "it does not serve")
    address = re.search(r"serving (\S+) until", said.decode())
    assert address
    with urllib.request.urlopen(address[1], timeout=10) as answer:
        assert b"data-live" in answer.read()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 1
    os.close(ours)


def test_a_taken_port_is_said(failing: Project) -> None:
    """Nothing is built where the page could not be shown."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = failing.nbdag("build", f"--serve={port}")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        f"error: port {port} cannot be used: Address already in use",
    )
    assert not (failing / ".nbdag" / "runs").exists()


def test_a_chosen_port_keeps_its_token(failing: Project) -> None:
    """Open pages and bookmarks outlive a restart; nobody else on the machine can read the token."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    first, second = (failing.nbdag("build", f"--serve={port}").stderr.splitlines()[0] for _ in range(2))
    assert first == second
    assert f":{port}/" in first
    assert (failing / ".nbdag" / "state" / "served.json").stat().st_mode & 0o077 == 0
