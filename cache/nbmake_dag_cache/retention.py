"""Retention in a cache folder: keep records by last use, what runs show, and the blobs that these need."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from nbmake_dag_cache.key import Key
from nbmake_dag_cache.last_used import LastUsed
from nbmake_dag_cache.layout import CacheLayout, files_below, remove
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore

GRACE = 3600.0
"""Seconds for which a blob that no record ever named is spared: its record may be on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was removed, freed and left. Sizes in bytes; ``damaged`` is among the removed records."""

    removed_records: int
    removed_blobs: int
    freed: int
    kept_records: int
    kept_blobs: int
    kept_size: int
    damaged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Root:
    """A record, as far as its retention goes."""

    task: str
    own_key: Key
    key: Key
    used: float
    size: int
    blobs: frozenset[str]


def blobs_of(record: Record) -> frozenset[str]:
    """Return the names of all blobs that a record needs."""
    names = {artifact.sha256 for artifact in record.logged.artifacts.values()}
    names.update(name for name in (record.cells, record.source, record.logged.series) if name is not None)
    names.update(file.sha256 for file in record.inputs)
    if record.stored:
        names.update(file.sha256 for output in record.outputs for file in output.files)
    return frozenset(names)


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
    inventory = _Inventory(root, now)
    counted = set(blobs)
    room = max_size - sum(inventory.sizes.get(name, 0) for name in counted)
    kept: list[_Root] = []
    for record in sorted(inventory.records, key=lambda it: (it.key in keys, it.used, it.key), reverse=True):
        needed = record.size + sum(inventory.sizes.get(name, 0) for name in record.blobs - counted)
        fits = needed <= room and (max_age is None or now - record.used <= max_age)
        if fits or record.key in keys:
            kept.append(record)
            counted |= record.blobs
            room -= needed
    return inventory.reduce(kept, blobs)


def keep_only(
    root: str,
    *,
    now: float,
    keys: Collection[Key],
    tasks: Collection[str] = frozenset(),
    blobs: Collection[str] = frozenset(),
) -> Collected:
    """Remove every record but these, and the blobs that none left names; under the build lock.

    Of those `tasks` that none of these records is of, the record used last stays.
    """
    inventory = _Inventory(root, now)
    kept = [record for record in inventory.records if record.key in keys]
    missing = set(tasks).difference(record.task for record in kept)
    for record in sorted(inventory.records, key=lambda it: (it.used, it.key), reverse=True):
        if record.task in missing:
            missing.remove(record.task)
            kept.append(record)
    return inventory.reduce(kept, blobs)


class _Inventory:
    """What a cache folder holds, and the one way to remove from it: records first, then what only they named."""

    def __init__(self, root: str, now: float) -> None:
        self._layout = CacheLayout(root)
        self._now = now
        self._last_used = LastUsed(root)
        self._store = RecordStore(root)
        self._blobs = {entry.path: entry.stat(follow_symlinks=False) for entry in files_below(self._layout.blobs)}
        self.sizes = {os.path.basename(path): status.st_size for path, status in self._blobs.items()}
        used = self._last_used.read()
        self.records = [
            _Root(
                task=record.task,
                own_key=record.own_key,
                key=record.key,
                used=max(used.get(record.key, 0), record.origin.started / 1e9),
                size=os.stat(self._layout.record(record.own_key, record.key)).st_size,
                blobs=blobs_of(record),
            )
            for record in self._store
        ]

    def reduce(self, kept: Collection[_Root], protected: Collection[str]) -> Collected:
        removed = set(self.records).difference(kept)
        for record in removed:
            self._store.remove(record.own_key, record.key)
        needed = frozenset(protected).union(*(record.blobs for record in kept))
        released = frozenset[str]().union(*(record.blobs for record in removed))
        swept = {
            path: status.st_size for path, status in self._blobs.items() if self._is_waste(path, needed, released)
        }
        for path in swept:
            remove(path)
        self._sweep_temporary()
        self._last_used.keep_only(record.key for record in kept)
        return Collected(
            removed_records=len(removed) + len(self._store.damaged),
            removed_blobs=len(swept),
            freed=sum(swept.values()) + sum(record.size for record in removed),
            kept_records=len(kept),
            kept_blobs=len(self._blobs) - len(swept),
            kept_size=sum(status.st_size for path, status in self._blobs.items() if path not in swept)
            + sum(record.size for record in kept),
            damaged=len(self._store.damaged),
        )

    def _is_waste(self, path: str, needed: frozenset[str], released: frozenset[str]) -> bool:
        name = os.path.basename(path)
        return name not in needed and (name in released or self._now - self._blobs[path].st_mtime > GRACE)

    def _sweep_temporary(self) -> None:
        for entry in files_below(self._layout.temporary):
            if self._now - entry.stat(follow_symlinks=False).st_mtime > GRACE:
                remove(entry.path)
