"""A terminal or stream: lines that stay, and on a terminal a block below them that is redrawn.

Rules that keep a terminal sane without anything to clean up:

- After each drawing the cursor stays on the empty first line of the block, so drawing again needs no count of
  lines, which a resize would make wrong; what another program or a key writes meanwhile lands on that line.
- No mode of the terminal outlives one write: a killed build leaves it as it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TextIO

from nbmake_dag.ending_signals import write_to_reader
from nbmake_dag.present.palette import Palette
from nbmake_dag.present.text import coloured, folded, plain
from nbmake_dag.present.workflow_commands import WorkflowCommand, harmless

_ASCII = str.maketrans({"✓": "+", "✗": "x", "↺": "<", "…": "."})
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_REST_OF_LINE, _BELOW = "\x1b[K", "\x1b[J"


class Verbatim(str):
    """A line of a task's output: as long as it is, so that it can be copied."""

    __slots__ = ()


class Screen:
    """Write to a stream, until its reader is gone.

    With ``fits``, lines are folded to the columns of the terminal. With ``obeyed``, the reader of the stream obeys
    workflow commands: only ours must be obeyed.
    """

    def __init__(
        self, stream: TextIO, *, live: bool, colour: bool, fits: bool = False, obeyed: bool = False
    ) -> None:
        self.live = live
        self.palette = Palette(colour)
        self._fits = fits
        self._obeyed = obeyed
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"
        self._clean = coloured if colour else plain
        try:
            self._descriptor: int | None = stream.fileno()
        except OSError:
            self._descriptor = None
        self._drawn: tuple[tuple[int, int], list[str]] | None = None
        self._closed = False

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24

    def print(self, lines: Sequence[str]) -> None:
        """Write lines that stay, on a terminal folded between words, but for what is `Verbatim`."""
        if lines:
            text = "".join(f"{part}\n" for line in lines for part in self._parts(line))
            self._write(f"{self._erasure()}{text}")

    def draw(self, block: list[str]) -> None:
        """Show a block below all lines, in place of the last one."""
        drawn = (self.size(), block)
        if drawn != self._drawn:
            lines = "".join(f"\n{_REST_OF_LINE}{line}" for line in block)
            self._write(f"\r{_REST_OF_LINE}{_NO_WRAP}{lines}{_BELOW}{_WRAP}\r\x1b[{len(block)}A")
            self._drawn = drawn

    def erase(self) -> None:
        """Take the block away."""
        self._write(self._erasure())

    def _parts(self, line: str) -> list[str]:
        is_whole = isinstance(line, (Verbatim, WorkflowCommand)) or not self._fits
        return [self._safe(line)] if is_whole else folded(self._safe(line), self.size()[0])

    def _safe(self, line: str) -> str:
        if isinstance(line, WorkflowCommand):
            return line
        return harmless(self._clean(line)) if self._obeyed else self._clean(line)

    def _erasure(self) -> str:
        if self._drawn is None:
            return ""
        self._drawn = None
        return f"\r{_BELOW}"

    def _write(self, text: str) -> None:
        if self._closed or not text:
            return
        try:
            "✓".encode(self._encoding)
        except UnicodeEncodeError:
            text = text.translate(_ASCII)
        data = text.encode(self._encoding, "backslashreplace")
        try:
            if self._descriptor is None:
                self._stream.write(data.decode(self._encoding))
            self._stream.flush()
            if self._descriptor is not None:
                write_to_reader(self._descriptor, data)
        except (OSError, ValueError):
            self._closed = True
