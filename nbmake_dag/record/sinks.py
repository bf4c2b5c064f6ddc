"""Where the values of a record go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from nbmake_dag_reporting.spans import Span


class SpanSink(Protocol):
    """Takes spans that have ended, at once and without raising."""

    def export(self, spans: Sequence[Span]) -> None: ...

    def close(self) -> None: ...


class LineFile:
    """A file that only grows, by whole lines: one ``write`` each, so that a kill tears at most the last one."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)

    def write(self, line: bytes) -> None:
        if os.write(self._descriptor, line) != len(line):
            raise OSError("the disk is full")

    def close(self) -> None:
        os.close(self._descriptor)
