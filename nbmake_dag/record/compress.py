"""Packs the trace of a run that has ended."""

from __future__ import annotations

import gzip
import os

from nbmake_dag_reporting.otlp import TRACE


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
