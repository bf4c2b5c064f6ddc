"""A run with all that it names: from a checkout, or from one JSON file that holds everything.

A bundle has the lines of the run's two files as they were written, the records of its tasks, and blobs in base64.
It is read as if it came from anybody: every blob is verified against its name.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from nbmake_dag_reporting.assemble import Resolve
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import RunNotFoundError, decode_run, read_content, read_trace

FORMAT = 1


class BundleError(ValueError):
    """A file is no bundle, or was changed; the message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A run, and how to reach what it names; ``blob`` and ``record`` give ``None`` for what is gone."""

    run: Run
    blob: Callable[[str], bytes | None]
    record: Resolve


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    nbdag_bundle: int
    trace: str
    events: str
    records: dict[str, Any]
    blobs: dict[str, str]
    left_out: tuple[str, ...] = ()
    """Blobs that were gone, or too large."""


def write_bundle(path: str, recorded: Recorded) -> tuple[str, ...]:
    """Write a run of a checkout into one file, and return the names of blobs that could not be had."""
    run = recorded.run
    records = {
        f"{task.record.own_key}/{task.record.key}": record
        for task in run.tasks.values()
        if task.record and (record := recorded.record(task.record.own_key, task.record.key)) is not None
    }
    found = {name: recorded.blob(name) for name in dict.fromkeys(blobs_of(run))}
    document = _Document(
        nbdag_bundle=FORMAT,
        trace=read_trace(run.directory).decode("utf-8", "replace"),
        events=read_content(run.directory, EVENTS).decode("utf-8", "replace"),
        records=records,
        blobs={name: base64.b64encode(data).decode() for name, data in found.items() if data is not None},
        left_out=tuple(name for name, data in found.items() if data is None),
    )
    with open(path, "wb") as file:
        file.write(msgspec.json.encode(document) + b"\n")
    return document.left_out


def read_bundle(path: str) -> Recorded:
    """Read a bundle back, whole; raises `BundleError`, `OSError`."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path} is no bundle: {error}") from error
    if document.nbdag_bundle != FORMAT:
        raise BundleError(f"{path} has format {document.nbdag_bundle}, this version reads {FORMAT}")
    blobs = {name: _verified(path, name, text) for name, text in document.blobs.items()}

    def record(own_key: str, key: str) -> Mapping[str, Any] | None:
        return document.records.get(f"{own_key}/{key}")

    try:
        run = decode_run(path, document.trace.encode(), document.events.encode(), record)
    except (RunNotFoundError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} holds no run that can be read") from error
    return Recorded(run=run, blob=blobs.get, record=record)


def blobs_of(run: Run) -> Iterator[str]:
    """Yield the names of all blobs that a run names, but for declared outputs."""
    for task in run.tasks.values():
        named = [task.series, task.cells, task.notebook_source]
        named += [name for attempt in task.attempts for name in (attempt.log, attempt.notebook)]
        named += [artifact.sha256 for artifact in task.artifacts.values()]
        yield from (name for name in named if name)


def _verified(path: str, name: str, text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BundleError(f"{path} has no bytes for {name}") from error
    if hashlib.sha256(data).hexdigest() != name:
        raise BundleError(f"{path} was changed: blob {name} is not what its name says")
    return data
