"""A run with all the content it names: from a checkout, or from one JSON file that holds everything.

A bundle has the lines of the run's two files as they were written, the records of its tasks, and blobs in base64.
It is read as if it came from anybody: every blob is verified against its name.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from nbmake_dag_reporting.assemble import Resolve
from nbmake_dag_reporting.events import EVENTS
from nbmake_dag_reporting.gzipped import MAGIC, DamagedGzipError, gunzip
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import RunNotFoundError, decode_run, open_regular, read_content, read_trace
from nbmake_dag_reporting.secrets_scan import Secrets

FORMAT = 1
LARGEST = 512 << 20
"""Bytes of a bundle that may come from anybody."""


class BundleError(ValueError):
    """A file is not a bundle, or was changed; the message gives the reason."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
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


def write_bundle(
    path: str, recorded: Recorded, secrets: Secrets, *, with_outputs: bool = False
) -> tuple[str, ...]:
    """Write a run into one file, and return the names of missing blobs.

    Raises `BundleError` and `SecretFoundError` before anything is written.
    """
    data, left_out = encode_bundle(recorded, secrets, with_outputs=with_outputs)
    with open(path, "wb") as file:
        file.write(data)
    return left_out


def encode_bundle(
    recorded: Recorded, secrets: Secrets, *, with_outputs: bool = False
) -> tuple[bytes, tuple[str, ...]]:
    """Return a run of a checkout as the content of a bundle, and the names of missing blobs.

    ``with_outputs`` adds the bytes of declared outputs. Raises `BundleError` for what was read from one, and for
    outputs that no bundle may hold, `SecretFoundError` for what holds a secret.
    """
    run = recorded.run
    if os.path.isfile(run.directory):
        raise BundleError(f"{run.directory} is a bundle already")
    records = {
        f"{task.record.own_key}/{task.record.key}": record
        for task in run.tasks.values()
        if task.record and (record := recorded.record(task.record.own_key, task.record.key)) is not None
    }
    named = dict.fromkeys(blobs_of(run))
    if with_outputs:
        files = [file for record in records.values() for output in record["outputs"] for file in output["files"]]
        size = sum({file["sha256"]: file["size"] for file in files}.values())
        if size > LARGEST // 2:
            raise BundleError(f"the outputs of run {run.id} have {size >> 20} MB: too many for one file")
        named |= dict.fromkeys(file["sha256"] for file in files)
    found = {name: recorded.blob(name) for name in named}
    trace, events = read_trace(run.directory), read_content(run.directory, EVENTS)
    trace, events = (secrets.clean(data, f"run {run.id}") for data in (trace, events))
    records = msgspec.json.decode(secrets.clean(msgspec.json.encode(records), f"a record of run {run.id}"))
    for name, data in found.items():
        if data is not None and secrets.clean(data, f"content {name[:12]} of run {run.id}") != data:
            # its name is its digest
            found[name] = None
    document = _Document(
        nbdag_bundle=FORMAT,
        trace=trace.decode("utf-8", "replace"),
        events=events.decode("utf-8", "replace"),
        records=records,
        blobs={name: base64.b64encode(data).decode() for name, data in found.items() if data is not None},
        left_out=(*(name for name, data in found.items() if data is None), *run.lost),
    )
    return msgspec.json.encode(document) + b"\n", document.left_out


def read_bundle(path: str) -> Recorded:
    """Read a bundle back, whole; raises `BundleError`, `OSError`."""
    with open_regular(path) as file:
        return decode_bundle(file.read(), path)


def decode_bundle(data: bytes, path: str) -> Recorded:
    """Read a bundle from its content, which may be gzipped; raises `BundleError`, which names ``path``."""
    try:
        text = gunzip(data, LARGEST) if data.startswith(MAGIC) else data
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DamagedGzipError) as error:
        raise BundleError(f"{path} is not a bundle: {error}") from error
    if document.nbdag_bundle != FORMAT:
        raise BundleError(f"{path} has format {document.nbdag_bundle}, this version reads {FORMAT}")
    blobs = {name: _verified(path, name, text) for name, text in document.blobs.items()}
    records = {name: _checked(path, name, record) for name, record in document.records.items()}

    def record(own_key: str, key: str) -> Mapping[str, Any] | None:
        return records.get(f"{own_key}/{key}")

    try:
        run = decode_run(path, document.trace.encode(), document.events.encode(), record)
    except RunNotFoundError as error:
        raise BundleError(f"{path} holds no run that can be read") from error
    return Recorded(run=run, blob=blobs.get, record=record)


def blobs_of(run: Run) -> Iterator[str]:
    """Yield the names of all blobs that a run names, but for declared outputs."""
    for task in run.tasks.values():
        named = [task.series, task.cells, task.notebook_source]
        named += [name for attempt in task.attempts for name in (attempt.log, attempt.notebook)]
        named += [artifact.sha256 for artifact in (*task.artifacts.values(), *task.scripts.values())]
        yield from (name for name in named if name)


class _RecordedArtifact(msgspec.Struct, frozen=True):
    sha256: str
    size: int
    media_type: str


class _Logged(msgspec.Struct, frozen=True):
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    artifacts: dict[str, _RecordedArtifact]
    series: str | None


class _RecordedOutput(msgspec.Struct, frozen=True):
    path: str
    digest: str


class _RecordedAccess(msgspec.Struct, frozen=True):
    mode: str
    path: str


class RecordedIngredient(msgspec.Struct, frozen=True, array_like=True):
    """An ingredient of a key as its record has it; those of earlier formats have no ``path``."""

    kind: str
    name: str
    value: str
    stage: str = "own"
    path: str = ""

    @property
    def which(self) -> tuple[str, str, str]:
        return self.kind, self.name, self.path


def ingredients_of(record: Mapping[str, Any]) -> list[RecordedIngredient]:
    """Read the ingredients of a record; raises `ValueError` for what are none."""
    try:
        return msgspec.convert(record["ingredients"], list[RecordedIngredient])
    except msgspec.ValidationError as error:
        raise ValueError(f"a record's ingredients cannot be read: {error}") from error


class _Record(msgspec.Struct, frozen=True):
    """What readers of a run take from a record; it has more."""

    logged: _Logged
    undeclared: list[_RecordedAccess]
    outputs: list[_RecordedOutput]
    cells: str | None
    ingredients: list[list[str]] = []


def _checked(path: str, name: str, record: Any) -> Mapping[str, Any]:
    try:
        msgspec.convert(record, _Record)
    except msgspec.ValidationError as error:
        raise BundleError(f"{path} has no record {name}: {error}") from error
    checked: Mapping[str, Any] = record
    return checked


def _verified(path: str, name: str, text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BundleError(f"{path} has no bytes for {name}") from error
    if hashlib.sha256(data).hexdigest() != name:
        raise BundleError(f"{path} was changed: blob {name} does not match its name")
    return data
