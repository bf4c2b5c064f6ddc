"""Validate a record from outside before it is used: it must match the request, and be sane.

A local record is trusted once its checksum is right. One that others could write is compared, member by member,
with what its reader knows: the ingredients, the declared outputs, the time.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from nbmake_dag_cache.key import Ingredient, key_of
from nbmake_dag_cache.layout import is_key, is_sha256
from nbmake_dag_cache.record import Origin, Output, Record

_AHEAD_NS = 24 * 3_600 * 10**9
"""How far in the future a record's creation time may lie: one that takes local time for UTC is hours ahead."""
_LONGEST_S = 10 * 365 * 86_400.0
_RUN_ID = re.compile(r"[0-9A-Za-z._-]{1,100}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


class RefusedError(Exception):
    """Something from outside is invalid; the message is a short reason."""


def admit(
    record: Record, ingredients: Iterable[Ingredient], outputs: Collection[str], *, max_size: int, now: int
) -> None:
    """Raise `RefusedError` unless a record has these ingredients, the declared outputs, and an allowed size.

    `max_size` bounds the sum of its files in bytes; `now` is in nanoseconds since the epoch.
    """
    if sorted(record.ingredients) != sorted(ingredients):
        raise RefusedError("wrong ingredients")
    before = [item for item in record.ingredients if item.stage != "trace"]
    own = [item for item in before if item.stage == "own"]
    if (record.key, record.static_key, record.own_key) != (
        key_of(record.ingredients),
        key_of(before),
        key_of(own),
    ):
        raise RefusedError("wrong keys")
    if record.accepted or not record.stored:
        raise RefusedError("not the record of an execution with its files")
    if sorted(output.path for output in record.outputs) != sorted(outputs):
        raise RefusedError("outputs that are not declared")
    check_outputs(record.outputs)
    _check_logged(record)
    _check_origin(record.origin, now)
    sizes = [file.size for output in record.outputs for file in output.files]
    sizes += [artifact.size for artifact in record.logged.artifacts.values()]
    if min(sizes, default=0) < 0 or sum(sizes) > max_size:
        raise RefusedError("files of an impossible size")


def check_outputs(outputs: Iterable[Output]) -> None:
    """Raise `RefusedError` for outputs whose digests cannot be those of their files."""
    for output in outputs:
        _check_output(output)


def _check_output(output: Output) -> None:
    files = output.files
    if not all(is_key(file.xxh3) and is_sha256(file.sha256) for file in files):
        raise RefusedError("names that are not digests")
    if output.path.endswith("/"):
        if len({file.path for file in files}) != len(files) or len(set(output.folders)) != len(output.folders):
            raise RefusedError("a file twice")
    elif len(files) != 1:
        raise RefusedError("a file that is not one")
    if output != Output.of(output.path, files, output.folders):
        raise RefusedError("a digest that does not match its files")


def _check_logged(record: Record) -> None:
    blobs = [record.cells, record.source, record.logged.series]
    blobs += [artifact.sha256 for artifact in record.logged.artifacts.values()]
    if not all(name is None or is_sha256(name) for name in blobs):
        raise RefusedError("names that are not digests")
    for name in record.logged.artifacts:
        if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\0" in name:
            raise RefusedError("an artefact whose name leaves its folder")


def _check_origin(origin: Origin, now: int) -> None:
    is_named = _RUN_ID.fullmatch(origin.run_id) and _TRACE_ID.fullmatch(origin.trace_id)
    if not is_named or not _SPAN_ID.fullmatch(origin.span_id):
        raise RefusedError("an origin that is not a run")
    if origin.commit is not None and not _COMMIT.fullmatch(origin.commit):
        raise RefusedError("an origin that is not a commit")
    if not 0 <= origin.started <= now + _AHEAD_NS or not 0 <= origin.duration_s <= _LONGEST_S:
        raise RefusedError("an impossible time")
