"""Remove from the cache and the runs what holds a secret: before CI saves them, which others can read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from nbmake_dag.engine.state.gc_roots import forget_tables, run_folders
from nbmake_dag.engine.state.rescued_files import read_rescued
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.layout import CacheLayout, files_below, remove
from nbmake_dag_cache.record import blobs_of, encode_record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.runs import open_regular, read_content, read_trace
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets

_PIECE = 4 << 20


class Searched(msgspec.Struct, kw_only=True):
    """What was removed, each with the reason, how many bytes that freed, and what stays: files of the user."""

    runs: int = 0
    records: int = 0
    blobs: int = 0
    freed: int = 0
    removed: list[str] = []
    left: list[str] = []


def drop_secrets(project: Project, secrets: Secrets) -> Searched:
    """Remove runs, records and blobs that hold a secret, or what may be one; under the build lock.

    A record goes with its blobs: its task runs again, and says what it did. Files that were rescued stay.
    """
    searched = Searched()
    for folder in run_folders(project.runs):
        if why := _held((read_trace(folder), read_content(folder, EVENTS)), "it", secrets):
            shutil.rmtree(folder)
            searched.runs += 1
            searched.removed.append(f"run {os.path.basename(folder)}: {why}")
    # a run has what it names of them, so that those that are left were searched
    forget_tables(project.runs, grace=0)
    layout, rescued = CacheLayout(project.cache), {item.sha256: item.path for item in read_rescued(project)}
    bad: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for entry in files_below(layout.blobs):
        if why := _held(_pieces(entry.path, secrets.longest), "it", secrets):
            bad[entry.name], sizes[entry.name] = why, entry.stat().st_size
    records = RecordStore(project.cache)
    named: set[str] = set()
    for record in records:
        held = blobs_of(record) & bad.keys()
        encoded = encode_record(record)
        why = _held((encoded,), "it", secrets) or next((bad[name] for name in held), "")
        if why:
            named |= held
            records.remove(record.own_key, record.key)
            searched.records += 1
            searched.freed += len(encoded)
            searched.removed.append(f"a result of {record.task}: {why}")
    for name, why in bad.items():
        if name in rescued:
            searched.left.append(f"{rescued[name]}, a file of yours that was saved: {why}")
            continue
        remove(layout.blob(name))
        searched.blobs += 1
        searched.freed += sizes[name]
        if name not in named:
            searched.removed.append(f"content {name[:12]}: {why}")
    return searched


def _held(pieces: Iterator[bytes] | tuple[bytes, ...], place: str, secrets: Secrets) -> str:
    """Name the secret that content holds; empty where it holds none."""
    try:
        for piece in pieces:
            secrets.refuse_suspicious(piece, place)
    except SecretFoundError as error:
        return str(error)
    return ""


def _pieces(path: str, overlap: int) -> Iterator[bytes]:
    """Yield a file in pieces, each with the end of the one before, so that no secret is cut in two."""
    end = b""
    # what is no file holds nothing
    with suppress(FileNotFoundError), open_regular(path) as file:
        while piece := file.read(_PIECE):
            yield end + piece
            end = (end + piece)[-overlap:] if overlap else b""
