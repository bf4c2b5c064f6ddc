"""The events of the current run, as server-sent events for a page.

A message without a name holds unchanged lines of ``events.jsonl``; its identifier, ``<run>.<place>``, is the
position from which a page continues after an interruption. ``run`` names the run that the next lines are of,
``report`` a new version of the site, ``complaint`` the reason that nothing can be built, if there is one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.runs import open_regular

_PIECE = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The state to show: the current run, or the last one, the version of the site, why nothing is built."""

    run: str = ""
    version: str = ""
    complaint: str = ""


class LiveFeed:
    """The messages for one page, one by one; ``after`` is the identifier of the last one that it has."""

    def __init__(self, runs: str, shown: Shown, after: str) -> None:
        self._runs = runs
        self._version = self._complaint = ""
        run, _, place = after.rpartition(".")
        goes_on = run == shown.run and place.isdecimal()
        self._run, self._place = (run, int(place)) if goes_on else ("", 0)

    def news(self, shown: Shown) -> bytes:
        """Return the next message, nothing where all were sent."""
        lines = self._lines()
        if lines:
            self._place += len(lines)
            return _message("", lines[:-1], f"{self._run}.{self._place}")
        if shown.run != self._run:
            # all of the run before was written before another is shown
            self._run, self._place = shown.run, 0
            return _message("run", self._run.encode(), f"{self._run}.0")
        if shown.version != self._version:
            self._version = shown.version
            return _message("report", self._version.encode())
        if shown.complaint != self._complaint:
            self._complaint = shown.complaint
            return _message("complaint", self._complaint.encode())
        return b""

    def _lines(self) -> bytes:
        """Read whole lines that were not sent, some at a time; one that is longer than that by itself."""
        if not self._run:
            return b""
        try:
            with open_regular(os.path.join(self._runs, self._run, EVENTS)) as file:
                file.seek(self._place)
                piece = file.read(_PIECE)
                if len(piece) == _PIECE:
                    piece += file.readline()
        except OSError:
            return b""
        return piece[: piece.rfind(b"\n") + 1]


def _message(name: str, data: bytes, identifier: str = "") -> bytes:
    head = (f"event: {name}\n" if name else "") + (f"id: {identifier}\n" if identifier else "")
    return head.encode() + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"
