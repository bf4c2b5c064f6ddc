"""What ends or asks a `nbdag watch` besides files: signals, keys, the terminal."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing

import pytest

from nbmake_dag.engine.request import Request
from nbmake_dag.observe.project import find_project
from nbmake_dag.progress.display import make_display
from nbmake_dag.watch.keys import Keys, terminal_keys
from nbmake_dag.watch.poll import Poller
from nbmake_dag.watch.rebuilds import Rebuilds
from nbmake_dag.watch.watching import Watch
from tests.support.project import Project

pytestmark = pytest.mark.timing


def test_a_second_signal_changes_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch is ending, and does not lose its way in that."""
    project.pipeline("[tasks.unfinished]\n")

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    close = Poller.close

    def end_and_close(self: Poller) -> None:
        end()
        close(self)

    monkeypatch.setattr(Poller, "close", end_and_close)
    with closing(Rebuilds(find_project(str(project.root)), Request())) as rebuilds:
        watch = Watch(
            rebuilds,
            Keys(None),
            poll=True,
            show=lambda: make_display("none", sys.stderr),
            say=lambda message: end() if message == "waiting for changes" else None,
            complain=lambda _: None,
        )
        assert watch.run() == 143


def test_enter_is_answered_also_where_nothing_is_to_do(project: Project) -> None:
    """With the numbers that a build would end with."""
    project.pipeline('[tasks.a]\ncommand = "true"\n').build().ran("a")
    pressed, keyboard = os.pipe()
    said: list[str] = []

    def hear(message: str) -> None:
        said.append(message)
        os.write(keyboard, b"\n" if message.startswith("waiting") else b"q")

    with closing(Rebuilds(find_project(str(project.root)), Request())) as rebuilds:
        watch = Watch(
            rebuilds,
            Keys(pressed),
            poll=True,
            show=lambda: make_display("none", sys.stderr),
            say=hear,
            complain=lambda _: None,
        )
        assert watch.run() == 0
    os.close(pressed)
    os.close(keyboard)
    assert said[1].startswith("1 task: 0 ran, 0 restored, 1 up to date in")


def test_a_terminal_of_another_session_has_no_keys() -> None:
    """As for a watch that was started with ``setsid``."""
    ours, theirs = os.openpty()
    with open(ours, "wb"), open(theirs) as terminal, terminal_keys(terminal) as keys:
        assert keys.descriptors == ()
