"""The lock of a project."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from nbmake_dag.engine.state.lock import build_lock
from nbmake_dag.observe.project import find_project


def test_a_process_that_is_being_started_does_not_hold_the_lock_of_a_build_that_ended(tmp_path: Path) -> None:
    """Until it is another program, it has all descriptors of the one that starts it."""
    (tmp_path / "pipeline.toml").write_text("")
    project = find_project(str(tmp_path))
    with build_lock(project, wait=False, waiting=lambda _: None):
        started = os.fork()
        if not started:
            signal.pause()
    try:
        with build_lock(project, wait=False, waiting=lambda _: None) as lock:
            lock.check()
    finally:
        os.kill(started, signal.SIGKILL)
        os.waitpid(started, 0)
