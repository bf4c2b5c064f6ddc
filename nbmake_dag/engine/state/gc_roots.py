"""Find the cache keys and blobs that a run refers to, even in damaged run files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from nbmake_dag_cache.key import Key
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.runs import read_content, read_trace

_HEX = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Names of records and blobs. Other digests of the same length may be among them, which does no harm."""

    keys: frozenset[Key] = frozenset()
    blobs: frozenset[str] = frozenset()


def run_folders(runs: str) -> list[str]:
    """Return the folders of all runs, newest first."""
    try:
        with os.scandir(runs) as entries:
            return sorted((entry.path for entry in entries if entry.is_dir(follow_symlinks=False)), reverse=True)
    except FileNotFoundError:
        return []


def shown_by(folders: Iterable[str]) -> Shown:
    names = {name.decode() for folder in folders for text in _texts(folder) for name in _HEX.findall(text)}
    return Shown(
        keys=frozenset(Key(name) for name in names if len(name) == 32),
        blobs=frozenset(name for name in names if len(name) == 64),
    )


def _texts(folder: str) -> tuple[bytes, bytes]:
    return read_trace(folder), read_content(folder, EVENTS)
