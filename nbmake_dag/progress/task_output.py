"""The output of a task, line by line, limited to a readable length."""

from __future__ import annotations

from collections import deque

MAX_LINE = 1 << 14
"""Characters after which a line is taken as ended."""
MAX_KEPT = 1 << 20
"""Characters of a task's output that are kept until its end."""


class Lines:
    """Joins pieces of text to lines; of a line that a progress bar wrote over, the last state counts."""

    def __init__(self) -> None:
        self._open: dict[str, str] = {}

    def feed(self, stream: str, text: str) -> list[str]:
        """Return the lines that are complete now."""
        *complete, rest = (self._open.get(stream, "") + text).split("\n")
        if len(rest) > MAX_LINE:
            complete.append(rest)
            rest = ""
        self._open[stream] = rest
        return [_last_state(line) for line in complete]

    def end(self) -> list[str]:
        """Return the lines that were never completed."""
        rest = [_last_state(line) for line in self._open.values() if line]
        self._open.clear()
        return rest


class OutputTail:
    """The end of a task's output."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._size = 0
        self._dropped = 0

    def add(self, lines: list[str]) -> None:
        for line in lines:
            self._lines.append(line)
            self._size += len(line) + 1
        while self._size > MAX_KEPT:
            self._size -= len(self._lines.popleft()) + 1
            self._dropped += 1

    @property
    def lines(self) -> list[str]:
        first = [f"… {self._dropped} lines before these are left out"] if self._dropped else []
        return [*first, *self._lines]


def _last_state(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]
