"""The events of the current run, as server-sent events for a page.

A message without a name holds unchanged lines of ``events.jsonl``; its identifier, ``<run>.<place>``, is the
position from which a page continues after an interruption: first come the lines that are left of that run, then
those of the current one. ``run`` names the run that the next lines are of, ``gap`` the runs whose lines are left
out, ``report`` a new version of the site, ``complaint`` the reason that nothing can be built, if there is one.
"""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.runs import open_regular

_PIECE = 256 << 10


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The state to show: the current run, or the last one, the version of the site, why nothing is built."""

    run: str = ""
    version: str = ""
    complaint: str = ""


class LiveFeed:
    """The messages for one page, one by one; ``after`` is the identifier of the last one that it has."""

    def __init__(self, runs: str, after: str) -> None:
        self._runs = runs
        self._version = self._complaint = ""
        run, _, place = after.rpartition(".")
        goes_on = run in self._recorded() and place.isdecimal() and self._is_end_of_line(run, int(place))
        self._run, self._place = (run, int(place)) if goes_on else ("", 0)
        self._is_lost = bool(after) and not goes_on

    def news(self, shown: Shown) -> bytes:
        """Return what is next, nothing where all was sent."""
        lines = self._lines()
        if lines:
            self._place += len(lines)
            return _message("", lines[:-1], f"{self._run}.{self._place}")
        if shown.run and shown.run != self._run:
            # all of the run before was written before another is shown
            before, self._run, self._place = self._run, shown.run, 0
            return self._gap(before) + _message("run", self._run.encode(), f"{self._run}.0")
        if shown.version != self._version:
            self._version = shown.version
            return _message("report", self._version.encode())
        if shown.complaint != self._complaint:
            self._complaint = shown.complaint
            return _message("complaint", self._complaint.encode())
        return b""

    def _gap(self, before: str) -> bytes:
        """Name the runs between the one ``before`` and this one; none where nobody knows what is left out."""
        missed = [run for run in self._recorded() if before < run < self._run] if before else []
        is_lost, self._is_lost = self._is_lost, False
        return _message("gap", "\n".join(missed).encode()) if missed or is_lost else b""

    def _recorded(self) -> list[str]:
        """List the runs that have events; their identifiers sort by time."""
        with suppress(OSError):
            return sorted(run for run in os.listdir(self._runs) if os.path.isfile(self._events(run)))
        return []

    def _is_end_of_line(self, run: str, place: int) -> bool:
        with suppress(OSError), open_regular(self._events(run)) as file:
            file.seek(max(place - 1, 0))
            return place == 0 or file.read(1) == b"\n"
        return False

    def _events(self, run: str) -> str:
        return os.path.join(self._runs, run, EVENTS)

    def _lines(self) -> bytes:
        """Read whole lines that were not sent, some at a time; one that is longer than that by itself."""
        if not self._run:
            return b""
        try:
            with open_regular(self._events(self._run)) as file:
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
