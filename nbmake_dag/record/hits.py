"""The spans of hits, written as rows of tables that all runs with the same hits share."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from nbmake_dag.observe.state_file import put_aside, read_regular, replace_file
from nbmake_dag.record.ids import task_url
from nbmake_dag.record.limits import Keep, bounded
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.task_spans import SpanContext, TaskInfo, task_span
from nbmake_dag_reporting import schema
from nbmake_dag_reporting.hit_tables import IDS, TIMES, URL, decode_table, table_path
from nbmake_dag_reporting.otlp import encode_span

_TRACE = "@trace"
_SPAN = "@span"
_RUN = "@run"
_URL = "@url"
_IDS = b'"traceId":"@trace","spanId":"@span'
_TIMES = b'"parentSpanId":"@run","startTimeUnixNano":"-1","endTimeUnixNano":"-2"'
_URL_VALUE = b'{"key":"%b","value":{"stringValue":"' % schema.TASK_URL.encode()

_FEW = 20
"""So many rows are not worth a table: a record with them is whole by itself."""
_OFTEN = 256
"""A table ends after a task of which the name says so, one of so many: one more task changes one table."""
_ROWS = 1000
_BYTES = 4 << 20
"""At which a table ends in any case."""
_LEVEL = 3


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of a run in which every task is up to date: in tables, or as rows if they are few."""

    tables: list[str] = []
    few: bytes = b""
    count: int
    saved_s: float


class HitTables:
    """Puts rows into tables beside the runs of a folder; raises `OSError`."""

    def __init__(self, runs_dir: str) -> None:
        self._runs = runs_dir
        self._rows: list[bytes] = []
        self._size = 0
        self._names: list[str] = []

    def add(self, task: str, row: bytes) -> None:
        """Add the row of a task."""
        self._rows.append(row)
        self._size += len(row)
        ends = zlib.crc32(task.encode("utf-8", "surrogateescape")) % _OFTEN == 0 and len(self._rows) > _FEW
        if ends or len(self._rows) >= _ROWS or self._size >= _BYTES:
            self._store()

    def take(self) -> list[str]:
        """Return the tables of all rows since the last call."""
        self._store()
        names, self._names = self._names, []
        return names

    def take_few(self) -> bytes:
        """Return the rows since the last call, if they are few and in no table, and forget them."""
        if self._names or len(self._rows) > _FEW:
            return b""
        rows = b",".join(self._rows)
        self._rows.clear()
        self._size = 0
        return rows

    def _store(self) -> None:
        if self._rows:
            rows = b",".join(self._rows)
            self._rows.clear()
            self._size = 0
            self._names.append(_stored(self._runs, rows))


def hit_row(info: TaskInfo, outcome: TaskOutcome, numbers: Mapping[str, int], keep: Keep) -> bytes:
    """Make the row of a hit. ``numbers`` has the last eight digits of its span, and of those of tasks above it."""
    names = (info.name, *info.upstreams)
    spans = {name: f"{_SPAN}{numbers[name]:08x}" for name in names if name in numbers}
    span = task_span(
        SpanContext(trace_id=_TRACE, span_id=spans[info.name], parent_id=_RUN),
        info,
        outcome,
        url=task_url(_URL, info.name),
        start=-1,
        end=-2,
        spans=spans,
    )
    return (
        encode_span(bounded(span, keep))
        .replace(_URL_VALUE + _URL.encode(), _URL_VALUE + URL, 1)
        .replace(_IDS, IDS)
        .replace(_TIMES, TIMES)
    )


def store_hits(runs_dir: str, hits: Iterable[tuple[TaskInfo, TaskOutcome]], keep: Keep) -> Hits:
    """Make the spans of hits, whose outcomes all have a record, in the order of the pipeline; raises `OSError`."""
    pairs = list(hits)
    numbers = {info.name: number for number, (info, _) in enumerate(pairs, start=1)}
    tables = HitTables(runs_dir)
    for info, outcome in pairs:
        tables.add(info.name, hit_row(info, outcome, numbers, keep))
    few = tables.take_few()
    return Hits(
        tables=tables.take(),
        few=few,
        count=len(pairs),
        saved_s=sum(outcome.record.origin.duration_s for _, outcome in pairs if outcome.record),
    )


def _stored(runs_dir: str, rows: bytes) -> str:
    """Store a table, unless it is there and sound, and return its name."""
    name = hashlib.sha256(rows).hexdigest()
    path = table_path(runs_dir, name)
    with suppress(OSError):
        if decode_table(read_regular(path), name) is not None:
            return name
    folder = os.path.dirname(path)
    for place, is_right in ((folder, os.path.isdir), (path, os.path.isfile)):
        if os.path.lexists(place) and not is_right(place):
            put_aside(place)
    os.makedirs(folder, exist_ok=True)
    replace_file(path, gzip.compress(rows, _LEVEL, mtime=0))
    return name
