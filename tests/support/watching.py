"""`nbdag watch` as its user meets it: started in a project, read, and counted by the runs that it records."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import psutil

from tests.support.project import Project, await_true

WITHIN_S = 60
_BUILT = re.compile(r"^\d+ tasks?: (?!0 ran, 0 restored, \d+ up to date in)", re.MULTILINE)
"""How a build ends; that all is well again is said without one."""


class Watching:
    """A running `nbdag watch`; what it says goes to a file."""

    def __init__(self, project: Project, *arguments: str, builds: bool = True) -> None:
        """Start it, and unless its first build is made to wait, wait for the end of that."""
        self.project = project
        self.elsewhere = 0
        """Runs that were not its own."""
        self._log = project.root.parent / "watch.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nbmake_dag", "watch", *arguments],
                cwd=project.root,
                env=project.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if builds:
            self.said("waiting for changes")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def text(self) -> str:
        return self._log.read_text()

    def said(self, text: str, times: int = 1) -> None:
        """Wait until it has said something."""
        __tracebackhide__ = True
        await_true(
            lambda: self.text().count(text) >= times or self.process.poll() is not None,
            WITHIN_S,
            f"{text!r} was not said {times} times: {self.text()}",
        )
        assert self.text().count(text) >= times, self.text()

    def runs(self) -> int:
        """Count the runs that have begun."""
        return len([run for run in (self.project / ".nbdag" / "runs").glob("2*") if run.is_dir()])

    def rests(self) -> bool:
        """Say whether every run of its own that has begun has ended, and others may build."""
        ended = len(_BUILT.findall(self.text())) + self.pointless()
        return ended >= self.runs() - self.elsewhere and not self._holds_lock()

    def pointless(self) -> int:
        """Count the runs that changes made pointless: nothing is said of them."""
        return sum(map(_is_pointless, (self.project / ".nbdag" / "runs").glob("*/events.jsonl")))

    def _holds_lock(self) -> bool:
        opened = psutil.Process(self.process.pid).open_files()
        return any(file.path == str(self.project / ".nbdag" / "state" / "lock") for file in opened)

    def awaits(self, path: str, content: str) -> None:
        """Wait until a file has this content."""
        __tracebackhide__ = True
        place = self.project / path
        await_true(lambda: _content(place) == content, WITHIN_S, f"{path} is {_content(place)!r}: {self.text()}")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


def _content(place: Path) -> str | None:
    try:
        return place.read_text()
    except FileNotFoundError:
        return None


def _is_pointless(events: Path) -> bool:
    told = [json.loads(line) for line in events.read_text().splitlines(keepends=True) if line.endswith("\n")]
    statuses = {event["status"] for event in told if event["event"] == "task_finished"}
    ended = [event["result"] for event in told if event["event"] == "run_ended"]
    return ended == ["success"] and "cancelled" in statuses and statuses <= {"cancelled", "up_to_date"}
