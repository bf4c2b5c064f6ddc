"""Retention in a cache folder: keep records by last use, what runs show, and the blobs that these need."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Collection, Container

import msgspec

from nbmake_dag_cache.inventory import Held, Inventory, taken
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.last_used import LastUsed
from nbmake_dag_cache.layout import CacheLayout, files_below, remove
from nbmake_dag_cache.records import RecordStore

GRACE = 3600.0
"""Seconds for which a blob that no record ever named is spared: its record may be on its way."""


_FOLDERS = frozenset(f"{number:02x}" for number in range(256))


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, freed and left. Sizes in bytes; ``damaged`` is among the removed records."""

    removed_records: int
    removed_blobs: int
    freed: int
    kept_records: int
    kept_blobs: int
    kept_size: int
    damaged: int


def collect(
    root: str,
    *,
    now: float,
    max_size: int,
    max_age: float | None = None,
    keys: Collection[Key] = frozenset(),
    blobs: Collection[str] = frozenset(),
) -> Collected:
    """Remove the records used longest ago that do not fit, and the blobs that no remaining record names.

    `keys` and `blobs` are protected: those of the present run and of the runs that are kept. They take room, but
    stay regardless of size and age. The caller holds the build lock.
    """
    store = RecordStore(root)
    with taken(root, store) as inventory:
        room = max_size - inventory.unmarked_size(blobs)
        inventory.mark_blobs(blobs)
        for record in inventory.with_keys(keys):
            room -= record.size + _keep(inventory, record)
        for record in inventory.records():
            if record.key in keys or (max_age is not None and now - record.used > max_age):
                continue
            if record.size + inventory.unmarked_size(record.blobs) <= room:
                room -= record.size + _keep(inventory, record)
        return _reduce(root, inventory, store, now)


def keep_only(
    root: str,
    *,
    now: float,
    keys: Collection[Key],
    tasks: Container[str] = frozenset(),
    blobs: Collection[str] = frozenset(),
) -> Collected:
    """Remove every record but these, and the blobs that none left names; under the build lock.

    Of those `tasks` that none of these records is of, the record used last stays.
    """
    store = RecordStore(root)
    with taken(root, store) as inventory:
        inventory.mark_blobs(blobs)
        kept = set[str]()
        for record in inventory.with_keys(keys):
            _keep(inventory, record)
            kept.add(record.task)
        for record in inventory.records():
            if record.task in tasks and record.task not in kept:
                kept.add(record.task)
                _keep(inventory, record)
        return _reduce(root, inventory, store, now)


def _keep(inventory: Inventory, record: Held) -> int:
    """Keep a record and what it needs; return what of that was not kept before takes, in bytes."""
    inventory.mark(record)
    size = inventory.unmarked_size(record.blobs)
    inventory.mark_blobs(record.blobs)
    return size


def _reduce(root: str, inventory: Inventory, store: RecordStore, now: float) -> Collected:
    """Remove what is not marked: records first, then blobs.

    Blobs that only removed records name are made old before, so that whoever goes on after a kill knows that no
    record is on its way to them.
    """
    layout = CacheLayout(root)
    removed_records = removed_blobs = freed = kept_blobs = kept_size = 0
    for record in inventory.unmarked():
        for name in inventory.unmarked_of(record):
            _make_old(layout.blob(name), now)
        store.remove(record.own_key, record.key)
        removed_records += 1
        freed += record.size
    for folder, entries in itertools.groupby(files_below(layout.blobs), lambda entry: entry.path.split("/")[-2]):
        needed = inventory.marked_blobs(folder) if folder in _FOLDERS else frozenset[str]()
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if entry.name not in needed and now - status.st_mtime > GRACE:
                remove(entry.path)
                removed_blobs += 1
                freed += status.st_size
            else:
                kept_blobs += 1
                kept_size += status.st_size
    for entry in files_below(layout.temporary):
        if now - entry.stat(follow_symlinks=False).st_mtime > GRACE:
            remove(entry.path)
    LastUsed(root).replace(inventory.marked_uses())
    kept_records, records_size = inventory.marked()
    return Collected(
        removed_records=removed_records + len(store.damaged),
        removed_blobs=removed_blobs,
        freed=freed,
        kept_records=kept_records,
        kept_blobs=kept_blobs,
        kept_size=kept_size + records_size,
        damaged=len(store.damaged),
    )


def _make_old(path: str, now: float) -> None:
    with contextlib.suppress(OSError):
        if now - os.stat(path).st_mtime <= GRACE:
            os.utime(path, (0, 0))
