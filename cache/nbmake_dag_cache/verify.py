"""A second look at everything that a cache folder holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.key import key_of
from nbmake_dag_cache.place import Place, files_below, is_sha256
from nbmake_dag_cache.record import DamagedRecordError
from nbmake_dag_cache.records import read_record
from nbmake_dag_cache.retention import blobs_of


class Fault(Enum):
    """What can be wrong with a file of the cache."""

    DAMAGED_RECORD = "damaged record"
    """Not what was written, or not the record that its name says."""
    DAMAGED_BLOB = "damaged blob"
    """The bytes are not those that its name says."""
    MISSING_BLOB = "missing blob"
    """A record names it, so what that record stands for cannot be restored in full."""
    STRANGE_FILE = "strange file"
    """Nothing of ours has such a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault. ``path`` is relative to the cache folder; ``detail`` says more, where there is more to say."""

    path: str
    fault: Fault
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheInfo:
    """How much a cache folder holds. Sizes in bytes."""

    records: int
    records_size: int
    blobs: int
    blobs_size: int


def verify(root: str) -> tuple[Finding, ...]:
    """Read and hash every record and every blob, and say what is wrong, sorted by path; nothing is changed."""
    findings = [*_check_blobs(root), *_check_records(root)]
    return tuple(sorted(findings, key=lambda finding: (finding.path, finding.detail)))


def info(root: str) -> CacheInfo:
    place = Place(root)
    records = [entry.stat(follow_symlinks=False).st_size for entry in files_below(place.records)]
    blobs = [entry.stat(follow_symlinks=False).st_size for entry in files_below(place.blobs)]
    return CacheInfo(records=len(records), records_size=sum(records), blobs=len(blobs), blobs_size=sum(blobs))


def _check_blobs(root: str) -> Iterator[Finding]:
    place, store = Place(root), BlobStore(root)
    for entry in files_below(place.blobs):
        path = os.path.relpath(entry.path, root)
        if not is_sha256(entry.name) or entry.path != place.blob(entry.name):
            yield Finding(path=path, fault=Fault.STRANGE_FILE)
        elif not store.is_sound(entry.name):
            yield Finding(path=path, fault=Fault.DAMAGED_BLOB)


def _check_records(root: str) -> Iterator[Finding]:
    place, store = Place(root), BlobStore(root)
    for entry in files_below(place.records):
        path = os.path.relpath(entry.path, root)
        try:
            record = read_record(entry.path)
        except DamagedRecordError as error:
            yield Finding(path=path, fault=Fault.DAMAGED_RECORD, detail=str(error))
            continue
        if entry.path != place.record(record.own_key, record.key):
            yield Finding(path=path, fault=Fault.DAMAGED_RECORD, detail="it is the record of another key")
        elif key_of(record.ingredients) != record.key:
            yield Finding(path=path, fault=Fault.DAMAGED_RECORD, detail="its key is not that of its ingredients")
        for name in blobs_of(record):
            if not store.has(name):
                yield Finding(path=path, fault=Fault.MISSING_BLOB, detail=name)
