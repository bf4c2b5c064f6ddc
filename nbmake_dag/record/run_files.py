"""The files of a run: they grow by lines while it lasts, and its trace is compressed at its end."""

from __future__ import annotations

import gzip
import os

from nbmake_dag.errors import naming
from nbmake_dag_reporting.otlp import TRACE

_LARGE = 1 << 20
"""Bytes of a trace that is worth its compression."""
_LEVEL = 3
"""Of the compression, for which the end of a build waits."""


class LineFile:
    """A file that only grows, by whole lines: one ``write`` each, so that a kill tears at most the last one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)

    def write(self, line: bytes) -> None:
        with naming(self._path):
            # what is left of a line has no room, which the next call says
            while line := line[os.write(self._descriptor, line) :]:
                pass

    def close(self) -> None:
        os.close(self._descriptor)


def pack_trace(directory: str, above: int = _LARGE) -> None:
    """Gzip the trace of a run that is over, if it has more bytes than that; raises `OSError`, and then it stays.

    The last member holds the last line alone, for quick heads of runs.
    """
    path = os.path.join(directory, TRACE)
    if os.lstat(path).st_size <= above:
        return
    with open(path, "rb") as file:
        body, newline, last = file.read().removesuffix(b"\n").rpartition(b"\n")
    packed = f"{path}.gz"
    with open(f"{packed}.tmp", "wb") as file:
        file.write(gzip.compress(body + newline, _LEVEL, mtime=0))
        file.write(gzip.compress(last + b"\n", _LEVEL, mtime=0))
    os.replace(f"{packed}.tmp", packed)
    os.unlink(path)
