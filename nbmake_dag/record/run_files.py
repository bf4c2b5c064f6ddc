"""The files of a run: they grow by lines while it lasts, and its trace is compressed later."""

from __future__ import annotations

import gzip
import os

from nbmake_dag_reporting.otlp import TRACE


class LineFile:
    """A file that only grows, by whole lines: one ``write`` each, so that a kill tears at most the last one."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)

    def write(self, line: bytes) -> None:
        if os.write(self._descriptor, line) != len(line):
            raise OSError("the disk is full")

    def close(self) -> None:
        os.close(self._descriptor)


def compress_trace(directory: str) -> None:
    """Replace the trace by a gzipped one, whose last member holds the last line alone, for quick heads of runs."""
    path = os.path.join(directory, TRACE)
    with open(path, "rb") as file:
        body, newline, last = file.read().removesuffix(b"\n").rpartition(b"\n")
    packed = f"{path}.gz"
    with open(f"{packed}.tmp", "wb") as file:
        file.write(gzip.compress(body + newline, 6, mtime=0))
        file.write(gzip.compress(last + b"\n", 6, mtime=0))
    os.replace(f"{packed}.tmp", packed)
    os.unlink(path)
