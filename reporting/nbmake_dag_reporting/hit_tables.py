"""The spans of hits, which many runs share: tables beside the runs, named by lines of their traces.

A table has rows, which are encoded spans separated by commas. What differs between runs is a control byte in them,
which JSON never contains. It is gzipped, and named by the SHA-256 of its rows. A line of a trace names tables, and
has what is filled in; it is a document of OTLP without spans, whose second scope has that as its attributes.
Expanded, it becomes a line of spans for each table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from nbmake_dag_reporting.gzipped import DamagedGzipError, gunzip
from nbmake_dag_reporting.otlp import DamagedLineError, decode_attributes, encode_attributes, wrap

FOLDER: Final = ".hits"
"""The folder of tables among those of runs: hidden, so that whoever lists runs finds runs."""
URL, IDS, TIMES = b"\x00", b"\x01", b"\x02"
"""In rows: the address of the run; the trace and the prefix of span ids; the parent, the start and the end."""
LARGEST = 64 << 20
"""Bytes of the rows of a table."""

_VERSION = b"1"
_MARK = b']},{"scope":{"name":"nbdag.hits","version":"'
"""No text can imitate it: quotes within texts are escaped."""
_BEGIN = _MARK + _VERSION + b'","attributes":'
_END = b"}}]}]}\n"
_NAME = re.compile(r"[0-9a-f]{64}")
_TABLES = "nbdag.hits.tables"

ReadTable: TypeAlias = Callable[[str], bytes | None]
"""Gives the rows of a table; ``None`` where it is gone or damaged."""


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between runs. ``prefix``: the first eight digits of spans of tasks; times in nanoseconds."""

    trace_id: str
    parent_id: str
    prefix: str
    url: str
    start: int
    end: int


def encode_reference(resource: bytes, filling: Filling, tables: Sequence[str]) -> bytes:
    """Write the line that stands for the rows of tables; ``resource`` is encoded."""
    attributes = {_TABLES: list(tables), **{f"nbdag.hits.{name}": getattr(filling, name) for name in _FILLED}}
    return resource + _BEGIN + encode_attributes(attributes) + _END


def fill(rows: bytes, filling: Filling) -> bytes:
    """Put into rows what differs between runs."""
    ids = b'"traceId":"%b","spanId":"%b' % (filling.trace_id.encode(), filling.prefix.encode())
    times = b'"parentSpanId":"%b","startTimeUnixNano":"%d","endTimeUnixNano":"%d"' % (
        filling.parent_id.encode(),
        filling.start,
        filling.end,
    )
    url = msgspec.json.encode(filling.url)[1:-1]
    return rows.replace(IDS, ids).replace(TIMES, times).replace(URL, url)


def expand(trace: bytes, table: ReadTable) -> bytes:
    """Return a trace with the spans of all hits; a line still names the tables that cannot be used."""
    if _MARK not in trace:
        return trace
    return b"".join(piece for line in trace.splitlines(keepends=True) for piece in _expanded(line, table))


def tables_of(trace: bytes) -> list[str]:
    """Return the names of the tables that a trace names."""
    if _MARK not in trace:
        return []
    return [name for line in trace.splitlines() for name in _decoded(line + b"\n")[1]]


def table_path(runs: str, name: str) -> str:
    """Return where a table is that runs of a folder name."""
    return os.path.join(runs, FOLDER, name)


def decode_table(data: bytes, name: str) -> bytes | None:
    """Return the rows of a table from the content of its file, if they are those of its name."""
    import hashlib  # noqa: PLC0415 - a build with nothing to do reads no table

    try:
        rows = gunzip(data, LARGEST)
    except DamagedGzipError:
        return None
    return rows if hashlib.sha256(rows).hexdigest() == name else None


def _expanded(line: bytes, table: ReadTable) -> Iterator[bytes]:
    filling, tables = _decoded(line)
    if filling is None:
        yield line
        return
    resource, lost = line.partition(_MARK)[0], list[str]()
    for name in tables:
        rows = table(name)
        if rows is None:
            lost.append(name)
        else:
            yield wrap(resource, fill(rows, filling))
    if lost:
        yield encode_reference(resource, filling, lost)


def _decoded(line: bytes) -> tuple[Filling | None, list[str]]:
    """Read a line that names tables; any other, and a damaged one, names none."""
    _, mark, rest = line.partition(_BEGIN)
    if not mark or not rest.endswith(_END):
        return None, []
    try:
        attributes = decode_attributes(rest.removesuffix(_END))
        names = msgspec.convert(attributes.pop(_TABLES), list[str])
        values = {name.rpartition(".")[2]: value for name, value in attributes.items()}
        filling = msgspec.convert(values, Filling)
    except (DamagedLineError, msgspec.ValidationError, KeyError):
        return None, []
    return filling, list(filter(_NAME.fullmatch, names))


_FILLED = tuple(Filling.__struct_fields__)
