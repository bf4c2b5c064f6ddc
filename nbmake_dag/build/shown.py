"""What the record of a run names in the cache, found in its text: also where the run was cut off or damaged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from nbmake_dag.build.outcome import Kept
from nbmake_dag_cache.key import Key
from nbmake_dag_reporting import schema
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.otlp import DamagedLineError, decode_line
from nbmake_dag_reporting.runs import read_content, read_trace

EVENT_KEPT = "nbdag.kept"
"""The event of a task's span that names bytes of the user."""

_HEX = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Names of records and blobs. Other digests of the same length may be among them, which does no harm."""

    keys: frozenset[Key] = frozenset()
    blobs: frozenset[str] = frozenset()


def run_folders(runs: str) -> list[str]:
    """Return the folders of all runs, newest first."""
    try:
        with os.scandir(runs) as entries:
            return sorted((entry.path for entry in entries if entry.is_dir()), reverse=True)
    except FileNotFoundError:
        return []


def shown_by(folders: Iterable[str]) -> Shown:
    names = {name.decode() for folder in folders for text in _texts(folder) for name in _HEX.findall(text)}
    return Shown(
        keys=frozenset(Key(name) for name in names if len(name) == 32),
        blobs=frozenset(name for name in names if len(name) == 64),
    )


def kept_in(folder: str) -> tuple[Kept, ...]:
    """Return the bytes of the user that a run kept."""
    kept: list[Kept] = []
    for text in _texts(folder):
        for line in text.splitlines() if EVENT_KEPT.encode() in text else ():
            try:
                _, spans = decode_line(line)
            except DamagedLineError:
                continue
            for event in (event for span in spans for event in span.events if event.name == EVENT_KEPT):
                path = str(event.attributes.get(schema.OUTPUT_PATH, ""))
                digests = (_SHA256.search(str(value)) for value in event.attributes.values())
                kept += (Kept(path=path, sha256=digest[0]) for digest in digests if digest)
    return tuple(kept)


def _texts(folder: str) -> tuple[bytes, bytes]:
    return read_trace(folder), read_content(folder, EVENTS)
