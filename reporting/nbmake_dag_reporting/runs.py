"""Reads run directories: ``trace.otlp.jsonl``, which may be gzipped, and ``events.jsonl``.

Damaged lines are passed over.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import BufferedReader
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.assemble import Resolve, assemble
from nbmake_dag_reporting.events import EVENTS, Event, RunStarted, TasksKnown, WantedTask, decode_events
from nbmake_dag_reporting.gzipped import DamagedGzipError, gunzip
from nbmake_dag_reporting.heads import head_of
from nbmake_dag_reporting.hit_tables import decode_table, expand, table_path, tables_of
from nbmake_dag_reporting.otlp import TRACE, DamagedLineError, decode_line, decode_span_attributes
from nbmake_dag_reporting.run import RecordRef, Run, RunHead
from nbmake_dag_reporting.spans import Resource, Span

_TAIL = 8 << 10
_OF_RECORDS = (schema.TASK_NAME, schema.CACHE_OWN_KEY, schema.CACHE_KEY)
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.ENOTDIR})
"""Errors of opening a link that leads in a circle, a socket, and what is below a file."""
_GZIP_MAGIC = b"\x1f\x8b\x08"
_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
"""Identifiers become parts of paths and of scripts on the site, also those of untrusted runs."""


class RunNotFoundError(LookupError):
    """No run, or more than one, has the given name; the message names them."""


class AmbiguousRunError(RunNotFoundError):
    """A name means several runs."""


def nothing(_own_key: str, _key: str) -> Mapping[str, Any] | None:
    """Resolve no record: the hits of a run are read without their values."""
    return None


def read_run(directory: str, resolve: Resolve = nothing) -> Run:
    """Read one run, ended or cut off; raises `RunNotFoundError` where the directory holds none."""
    return decode_run(directory, read_trace(directory), read_content(directory, EVENTS), resolve)


def decode_run(directory: str, trace: bytes, written: bytes, resolve: Resolve = nothing) -> Run:
    """Read a run from the content of its two files; ``directory`` is its folder, as the run will state it.

    What the trace still says of tables of hits, which `read_trace` expands, is lost.
    """
    resource = Resource()
    spans: list[Span] = []
    for line in trace.splitlines():
        try:
            resource, more = decode_line(line)
        except DamagedLineError:
            continue
        spans += map(_conforming, more)
    events = [_started(event) if isinstance(event, RunStarted) else event for event in decode_events(written)]
    if not spans and events and isinstance(events[0], RunStarted):
        resource = Resource(attributes=events[0].resource)
    resource = replace(resource, attributes=schema.conforming(resource.attributes))
    run = assemble(directory, resource, spans, events, resolve)
    if run is None or not _RUN_ID.fullmatch(run.id):
        raise RunNotFoundError(f"{directory} holds no run")
    return replace(run, lost=lost) if (lost := tuple(tables_of(trace))) else run


def read_records(directory: str) -> dict[str, RecordRef]:
    """Return the record of each task that a run has one of, and read nothing else of the run."""
    found: dict[str, RecordRef] = {}
    for line in read_trace(directory).splitlines():
        with suppress(DamagedLineError):
            for at in decode_span_attributes(line):
                name, own_key, key = (at.get(which) for which in _OF_RECORDS)
                if isinstance(name, str) and isinstance(own_key, str) and isinstance(key, str):
                    found[name] = RecordRef(own_key=own_key, key=key)
    return found


def read_events(directory: str) -> list[Event]:
    """Read the events of a run, as far as they are whole."""
    return list(decode_events(read_content(directory, EVENTS)))


def read_trace(directory: str) -> bytes:
    """Return the lines of a run's spans, unpacked, those of hits too."""
    return expand(read_lines(directory), partial(read_table, os.path.dirname(directory)))


def read_lines(directory: str) -> bytes:
    """Return the lines of a run's trace as they were written, unpacked; some name tables of hits."""
    path = os.path.join(directory, TRACE)
    return _content(path) or _gunzip(_content(f"{path}.gz"))


def read_table(runs: str, name: str) -> bytes | None:
    """Return the rows of a table that runs of a folder name; ``None`` where it is gone or damaged."""
    return decode_table(_content(table_path(runs, name)), name)


def list_runs(runs_dir: str) -> list[RunHead]:
    """Describe all runs, newest first, from the last line of each. Other folders are left out."""
    return [head for name in run_names(runs_dir) if (head := read_head(os.path.join(runs_dir, name)))]


def read_head(directory: str) -> RunHead | None:
    """Describe one run without reading all of it."""
    try:
        resource, spans = decode_line(_last_line(directory))
    except DamagedLineError:
        resource, spans = Resource(), ()
    span = spans[-1] if spans and schema.RESULT in spans[-1].attributes else None
    return head_of(directory, resource, span, None if span else read_start(directory))


def read_start(directory: str) -> RunStarted | None:
    """Read the first of a run's events."""
    try:
        with open_regular(os.path.join(directory, EVENTS)) as file:
            first = next(decode_events(file.readline()), None)
    except FileNotFoundError:
        return None
    return first if isinstance(first, RunStarted) else None


def read_tasks(directory: str) -> dict[str, WantedTask] | None:
    """Read the tasks that a run is about, as far as they are known by now; ``None`` if it has not begun."""
    tasks: dict[str, WantedTask] | None = None
    try:
        with open_regular(os.path.join(directory, EVENTS)) as file:
            for line in file:
                if line.startswith((b'{"event":"run_started"', b'{"event":"tasks_known"')):
                    tasks = _joined(tasks or {}, next(decode_events(line), None))
    except FileNotFoundError:
        return None
    return tasks


def _joined(tasks: dict[str, WantedTask], event: Event | None) -> dict[str, WantedTask]:
    match event:
        case RunStarted(tasks=more):
            return {task.name: task for task in more}
        case TasksKnown(tasks=more, gone=gone):
            joined = {**tasks, **{task.name: task for task in more}}
            return {name: task for name, task in joined.items() if name not in gone}
        case _:
            return tasks


def find_run(runs_dir: str, ref: str) -> str:
    """Return the directory of a run by its id, a unique prefix of it, ``latest`` or ``latest~N``."""
    return os.path.join(runs_dir, name_of(ref, run_names(runs_dir)))


def name_of(ref: str, names: Sequence[str]) -> str:
    """Resolve a reference to one of the names, which have the newest run first; raises `RunNotFoundError`."""
    if ref == "latest" or ref.startswith("latest~"):
        back = ref.removeprefix("latest").removeprefix("~") or "0"
        if not back.isdecimal() or int(back) >= len(names):
            raise RunNotFoundError(f"there is no run {ref}: {len(names)} are recorded")
        return names[int(back)]
    found = [name for name in names if name == ref] or [name for name in names if ref and name.startswith(ref)]
    if not found:
        raise RunNotFoundError(f"no run is named {ref}")
    if len(found) > 1:
        raise AmbiguousRunError(f"{len(found)} runs have names that start with {ref}: {', '.join(found[:5])}")
    return found[0]


def find_run_of_commit(runs_dir: str, revision: str, *, good: bool = False) -> str | None:
    """Return the directory of the newest run that saw a commit, named by its full hash; of the ``good`` ones."""
    heads = (head for name in run_names(runs_dir) if (head := read_head(os.path.join(runs_dir, name))))
    return next((head.directory for head in heads if has_seen(head, revision, good=good)), None)


def find_run_of_branch(runs_dir: str, branch: str, before: str | None = None) -> str | None:
    """Return the directory of the newest good run of a branch, not of a pull request from one of that name.

    With ``before``, only runs older than the one with this id count.
    """
    names = (name for name in run_names(runs_dir) if before is None or name < before)
    heads = (head for name in names if (head := read_head(os.path.join(runs_dir, name))))
    return next((head.directory for head in heads if is_good_of(head, branch)), None)


def has_seen(head: RunHead, revision: str, *, good: bool = False) -> bool:
    """Return whether a run saw a commit, named by its full hash, and, if it must be ``good``, went well."""
    return revision in {head.vcs.head_revision, head.vcs.merge_revision} and (head.result == "success" or not good)


def is_good_of(head: RunHead, branch: str) -> bool:
    """Return whether a run of a branch went well, and is not of a pull request from one of that name."""
    return head.result == "success" and head.vcs.change_id is None and head.vcs.head_name == branch


def _conforming(span: Span) -> Span:
    return replace(
        span,
        attributes=schema.conforming(span.attributes),
        events=tuple(replace(item, attributes=schema.conforming(item.attributes)) for item in span.events),
    )


def _started(event: RunStarted) -> RunStarted:
    return msgspec.structs.replace(
        event, resource=schema.conforming(event.resource), attributes=schema.conforming(event.attributes)
    )


def run_names(runs_dir: str) -> list[str]:
    """Return the names of all runs that have begun, newest first."""
    try:
        with os.scandir(runs_dir) as entries:
            return sorted((entry.name for entry in entries if _is_begun(entry.path)), reverse=True)
    except FileNotFoundError:
        return []


def _is_begun(directory: str) -> bool:
    """Return whether a folder holds the first line of a run; one that was killed before that has none."""
    return any(_size(os.path.join(directory, name)) for name in (EVENTS, TRACE, f"{TRACE}.gz"))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def read_content(directory: str, name: str) -> bytes:
    """Return the bytes of one file of a run; empty if the file does not exist."""
    return _content(os.path.join(directory, name))


def open_regular(path: str) -> BufferedReader:
    """Open a file to read it; raises `FileNotFoundError` also for what is not a file, and waits for no pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise FileNotFoundError(error.errno, error.strerror, path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "not a file", path)
    return open(descriptor, "rb")


def _content(path: str) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _gunzip(data: bytes) -> bytes:
    try:
        return gunzip(data)
    except DamagedGzipError:
        return b""


def _last_line(directory: str) -> bytes:
    path = os.path.join(directory, TRACE)
    length = _TAIL
    while tail := _last_bytes(path, length):
        line = tail.removesuffix(b"\n").rpartition(b"\n")
        if line[1] or len(tail) < length:
            return line[2]
        length *= 4
    return _last_member(f"{path}.gz").removesuffix(b"\n").rpartition(b"\n")[2]


def _last_bytes(path: str, length: int) -> bytes:
    try:
        with open_regular(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - length))
            return file.read()
    except FileNotFoundError:
        return b""


def _last_member(path: str) -> bytes:
    """Unpack the last member of a gzip file, which holds the line of the run's span alone."""
    tail = _last_bytes(path, _TAIL)
    at = len(tail)
    while (at := tail.rfind(_GZIP_MAGIC, 0, at)) >= 0:
        if line := _gunzip(tail[at:]):
            return line
    return _gunzip(_content(path))
