"""Two builds at once in one repository."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.support.project import NBDAG, await_true, kill

pytestmark = pytest.mark.timing


def test_a_second_build_waits_or_says_so_and_finds_all_done(project):
    """The first does it all; with --no-wait the second exits with 4; a dead holder holds nothing."""
    begun, go = project.root.parent / "begun", project.root.parent / "go"
    project.pipeline(
        f"""
        [tasks.slow]
        command = "touch {begun}; while ! test -e {go}; do sleep 0.05; done; echo done > slow.txt"
        outputs = ["slow.txt"]
        """
    )
    killed = project.start("build")
    await_true(begun.exists, 60, "the first build did not begin")
    kill(killed)
    begun.unlink()

    first = project.start("build")
    await_true(begun.exists, 60, "the build after the killed one did not begin")
    refused = project.build("--no-wait")
    assert refused.code == 4
    refused.said(f"process {first.pid}").said("hint: leave out --no-wait")

    second = subprocess.Popen(
        [*NBDAG, "build"], cwd=project.root, env=project.environment(), stderr=subprocess.PIPE, text=True
    )
    assert second.stderr is not None
    said = second.stderr.readline()
    assert said.startswith(f"another build runs here (process {first.pid}, since ")
    assert said.endswith("): waiting; Ctrl-C cancels, `nbdag build --no-wait` does not wait\n")
    first.send_signal(signal.SIGSTOP)
    said = second.stderr.readline()
    assert said.startswith(f"another build runs here (process {first.pid}, since ")
    assert f", which is stopped: `fg` or `kill -CONT {first.pid}` lets it go on): waiting; " in said
    first.send_signal(signal.SIGCONT)
    go.touch()
    assert first.wait(60) == 0
    assert "0 ran, 0 restored, 1 up to date" in second.communicate(timeout=60)[1]
    assert second.returncode == 0
