"""Check every file of a cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import Enum

import msgspec

from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.key import key_of
from nbmake_dag_cache.layout import CacheLayout, files_below, is_sha256
from nbmake_dag_cache.record import DamagedRecordError, blobs_of
from nbmake_dag_cache.records import read_record


class Fault(Enum):
    """What can be wrong with a file of the cache."""

    DAMAGED_RECORD = "damaged_record"
    """Not what was written, or not the record of this name."""
    DAMAGED_BLOB = "damaged_blob"
    """The bytes do not match the name."""
    MISSING_BLOB = "missing_blob"
    """A record names it, so the result of that record cannot be restored in full."""
    STRANGE_FILE = "strange_file"
    """The cache gives no file such a name."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. ``path`` is relative to the cache folder; ``detail`` has more, where there is more to report."""

    path: str
    fault: Fault
    detail: str = ""


class CacheInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How much a cache folder holds. Sizes in bytes."""

    records: int
    records_size: int
    blobs: int
    blobs_size: int


def verify(root: str) -> tuple[Finding, ...]:
    """Read and hash every record and every blob, and return the faults, sorted by path; nothing is changed."""
    findings = [*_check_blobs(root), *_check_records(root)]
    return tuple(sorted(findings, key=lambda finding: (finding.path, finding.detail)))


def info(root: str) -> CacheInfo:
    layout = CacheLayout(root)
    records = [entry.stat(follow_symlinks=False).st_size for entry in files_below(layout.records)]
    blobs = [entry.stat(follow_symlinks=False).st_size for entry in files_below(layout.blobs)]
    return CacheInfo(records=len(records), records_size=sum(records), blobs=len(blobs), blobs_size=sum(blobs))


def _check_blobs(root: str) -> Iterator[Finding]:
    layout, store = CacheLayout(root), BlobStore(root)
    for entry in files_below(layout.blobs):
        path = os.path.relpath(entry.path, root)
        if not is_sha256(entry.name) or entry.path != layout.blob(entry.name):
            yield Finding(path=path, fault=Fault.STRANGE_FILE)
        elif not store.is_sound(entry.name) and store.has(entry.name):  # it may have been collected meanwhile
            yield Finding(path=path, fault=Fault.DAMAGED_BLOB)


def _check_records(root: str) -> Iterator[Finding]:
    layout, store = CacheLayout(root), BlobStore(root)
    for entry in files_below(layout.records):
        path = os.path.relpath(entry.path, root)
        try:
            record = read_record(entry.path)
        except DamagedRecordError as error:
            yield Finding(path=path, fault=Fault.DAMAGED_RECORD, detail=str(error))
            continue
        if entry.path != layout.record(record.own_key, record.key):
            yield Finding(path=path, fault=Fault.DAMAGED_RECORD, detail="it is the record of another key")
        elif key_of(record.ingredients) != record.key:
            yield Finding(path=path, fault=Fault.DAMAGED_RECORD, detail="its key is not that of its ingredients")
        for name in blobs_of(record):
            if not store.has(name):
                yield Finding(path=path, fault=Fault.MISSING_BLOB, detail=name)
