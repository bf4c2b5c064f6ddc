"""The commands that make an environment, and how they end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmake_dag.execute.environments import provide
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import EnvironmentSpec

WANTED = EnvironmentSpec(name="own", python="3.12", requirements=())


def test_a_cancellation_kills_a_command_while_it_runs_and_nobody_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that was waited for has left its number to others."""
    killed: list[int] = []
    killpg = os.killpg

    def kill(group: int, number: int) -> None:
        killed.append(group)
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", kill)
    ended = Cancellation()
    provide._run(["true"], dict(os.environ), str(tmp_path), WANTED, ended)
    ended.request(0.0)
    assert killed == []
    early = Cancellation()
    early.request(0.0)
    with pytest.raises(provide.CancelledError):
        provide._run(["sleep", "1000"], dict(os.environ), str(tmp_path), WANTED, early)
    assert len(killed) == 1
