"""Find the cache keys and blobs that a run refers to, even in damaged run files."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator

import msgspec

from nbmake_dag_cache import usage
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.layout import remove
from nbmake_dag_cache.retention import GRACE
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.hit_tables import FOLDER, tables_of
from nbmake_dag_reporting.runs import read_content, read_lines, read_table

_HEX = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])")


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Names of records and blobs. Other digests of the same length may be among them, which does no harm."""

    keys: frozenset[Key] = frozenset()
    blobs: frozenset[str] = frozenset()


def run_folders(runs: str) -> list[str]:
    """Return the folders of all runs, newest first."""
    try:
        with os.scandir(runs) as entries:
            folders = (entry for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name != FOLDER)
            return sorted((entry.path for entry in folders), reverse=True)
    except FileNotFoundError:
        return []


def shown_by(folders: Iterable[str]) -> Shown:
    """Find what runs refer to; a table of hits that several of them name is read once."""
    names, tables = set[bytes](), set[tuple[str, str]]()
    for folder in folders:
        lines = read_lines(folder)
        names.update(_HEX.findall(lines), _HEX.findall(read_content(folder, EVENTS)))
        tables.update((os.path.dirname(folder), name) for name in tables_of(lines))
    for runs, name in tables:
        names.update(_HEX.findall(read_table(runs, name) or b""))
    texts = {name.decode() for name in names}
    return Shown(
        keys=frozenset(Key(name) for name in texts if len(name) == 32),
        blobs=frozenset(name for name in texts if len(name) == 64),
    )


def forget_tables(runs: str, grace: float = GRACE) -> None:
    """Remove the tables of hits that no run of a folder names, but for those made in the last seconds."""
    try:
        entries = list(os.scandir(os.path.join(runs, FOLDER)))
    except (FileNotFoundError, NotADirectoryError):
        return
    named = {name for folder in run_folders(runs) for name in tables_of(read_lines(folder))}
    for entry in entries:
        if entry.name not in named and time.time() - entry.stat(follow_symlinks=False).st_mtime > grace:
            remove(entry.path)


def shown_by_each(folders: Iterable[str]) -> Iterator[usage.Shown]:
    """Yield what each run shows."""
    for folder in folders:
        shown = shown_by([folder])
        yield usage.Shown(run=os.path.basename(folder), keys=shown.keys, blobs=shown.blobs)
