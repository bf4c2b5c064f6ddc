"""Build a `Run` from spans and events; what spans lack, because the run was cut off, is taken from the events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from nbmake_dag_reporting import events as event
from nbmake_dag_reporting import schema
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.heads import head_of
from nbmake_dag_reporting.names import below
from nbmake_dag_reporting.run import (
    Artifact,
    AttemptRun,
    CellRun,
    Failure,
    RecordRef,
    Run,
    Source,
    TaskRun,
)
from nbmake_dag_reporting.spans import Resource, Span, SpanEvent
from nbmake_dag_reporting.vocabulary import STATUSES, count

Resolve: TypeAlias = Callable[[str, str], Mapping[str, Any] | None]
"""Gives the content of the record with an own key and a key, or ``None`` where it is gone."""


def assemble(
    directory: str, resource: Resource, spans: Iterable[Span], events: Sequence[event.Event], resolve: Resolve
) -> Run | None:
    """Put a run together; ``None`` where neither a span nor an event has the run's id."""
    sorted_spans = _sort(spans)
    seen = _replay(events)
    head = head_of(directory, resource, sorted_spans.run, seen.started)
    if head is None:
        return None
    tasks: dict[str, TaskRun] = {}
    for name, wanted in seen.wanted.items():
        tasks[name] = _unfinished(wanted, seen, sorted_spans)
    for span in sorted_spans.tasks:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # of damaged spans
            task = _task(span, sorted_spans, resolve)
            tasks[task.name] = task
    fields = {name: getattr(head, name) for name in head.__struct_fields__}
    if head.ended is None:
        fields["counts"] = count(task.status for task in tasks.values())
        fields["saved_s"] = sum(task.saved_s for task in tasks.values())
    return Run(**fields, tasks=tasks, resource=resource)


class _Sorted(msgspec.Struct):
    run: Span | None = None
    tasks: list[Span] = []
    names: dict[str, str] = {}
    """Tasks by their spans, which is what links point to."""
    attempts: defaultdict[str, list[Span]] = msgspec.field(
        default_factory=lambda: defaultdict[str, list[Span]](list)
    )
    """By the task's name."""
    cells: defaultdict[str, list[Span]] = msgspec.field(default_factory=lambda: defaultdict[str, list[Span]](list))
    """By the attempt's span."""


def _sort(spans: Iterable[Span]) -> _Sorted:
    result = _Sorted()
    for span in spans:
        attributes = span.attributes
        if schema.CELL_INDEX in attributes:
            result.cells[span.parent_id or ""].append(span)
        elif schema.ATTEMPT_OUTCOME in attributes:
            result.attempts[str(attributes.get(schema.TASK_NAME))].append(span)
        elif schema.TASK_NAME in attributes:
            result.tasks.append(span)
            result.names[span.span_id] = str(attributes[schema.TASK_NAME])
        elif schema.RESULT in attributes:
            result.run = span
    return result


class _Seen(msgspec.Struct):
    """The events of a run that was cut off."""

    started: event.RunStarted | None = None
    wanted: dict[str, event.WantedTask] = {}
    planned: dict[str, event.TaskPlanned] = {}
    attempts: dict[tuple[str, int], event.AttemptStarted] = {}
    cells: dict[tuple[str, int, int], event.CellStarted] = {}
    waits: dict[str, str] = {}
    """The pools that tasks wait for."""


def _replay(events: Sequence[event.Event]) -> _Seen:
    seen = _Seen()
    for item in events:
        match item:
            case event.RunStarted():
                seen.started = item
                seen.wanted = {task.name: task for task in item.tasks}
            case event.TasksKnown():
                seen.wanted |= {task.name: task for task in item.tasks}
                for name in item.gone:
                    seen.wanted.pop(name, None)
            case event.TaskPlanned():
                seen.planned[item.task] = item
            case event.TaskWaits():
                seen.waits[item.task] = item.pool
            case event.AttemptStarted():
                seen.waits.pop(item.task, None)
                seen.attempts[item.task, item.attempt] = item
            case event.CellStarted():
                seen.cells[item.task, item.attempt, item.index] = item
            case _:
                pass
    return seen


def _unfinished(wanted: event.WantedTask, seen: _Seen, spans: _Sorted) -> TaskRun:
    planned = seen.planned.get(wanted.name)
    attempts = [_attempt(span, spans.cells) for span in spans.attempts[wanted.name]]
    ended = {attempt.number for attempt in attempts}
    for (task, number), started in seen.attempts.items():
        if task == wanted.name and number not in ended:
            attempts.append(_running(started, seen, spans))
    return TaskRun(
        name=wanted.name,
        family=wanted.family,
        status="cancelled",
        reasons=planned.reasons if planned else (),
        codes=planned.codes if planned else (),
        upstreams=wanted.upstreams,
        started=min((attempt.started for attempt in attempts), default=None),
        attempts=tuple(attempts),
        waits_for=seen.waits.get(wanted.name, ""),
    )


def _running(started: event.AttemptStarted, seen: _Seen, spans: _Sorted) -> AttemptRun:
    ended = {cell.cell.index: cell for cell in map(_cell, spans.cells[started.span_id])}
    open_cells = [
        CellRun(cell=CellRef(cell.index), first_line=cell.first_line, started=cell.time, ended=None)
        for (task, attempt, index), cell in seen.cells.items()
        if (task, attempt) == (started.task, started.attempt) and index not in ended
    ]
    return AttemptRun(
        number=started.attempt,
        outcome="interrupted",
        started=started.time,
        ended=None,
        cells=(*ended.values(), *open_cells),
        node=started.node,
        span_id=started.span_id,
    )


def _task(span: Span, spans: _Sorted, resolve: Resolve) -> TaskRun:
    at: dict[str, Any] = dict(span.attributes)
    status = at.get(schema.TASK_STATUS)
    record = None
    if schema.CACHE_KEY in at and schema.CACHE_OWN_KEY in at:
        record = RecordRef(own_key=at[schema.CACHE_OWN_KEY], key=at[schema.CACHE_KEY])
    left = _left_by_hit(record, resolve) if at.get(schema.CACHE_STATUS) == "hit" else _left_by_span(span, at)
    return TaskRun(
        name=at[schema.TASK_NAME],
        family=at.get(schema.TASK_FAMILY, at[schema.TASK_NAME]),
        status=status if status in STATUSES else "cancelled",
        type=at.get(schema.TASK_TYPE, ""),
        path=at.get(schema.CODE_PATH),
        form=at.get(schema.TASK_FORMAT, ""),
        reasons=tuple(at.get(schema.TASK_REASONS, ())),
        codes=tuple(at.get(schema.TASK_CODES, ())),
        started=span.start,
        ended=span.end,
        span_id=span.span_id,
        key=at.get(schema.CACHE_KEY),
        record=record,
        source=_source(span, at),
        saved_s=at.get(schema.CACHE_SAVED, 0.0),
        draft=at.get(schema.TASK_DRAFT, False),
        accepted=at.get(schema.CACHE_ACCEPTED, False),
        upstreams=tuple(
            spans.names[link.span_id]
            for link in span.links
            if link.attributes.get(schema.LINK_TYPE) == "depends_on" and link.span_id in spans.names
        ),
        params={**below(at, schema.PARAM), **left.params},
        metrics=left.metrics,
        tags=left.tags,
        artifacts={name: one for name, one in left.artifacts.items() if one.media_type != schema.FIGURE_SCRIPT},
        scripts={name: one for name, one in left.artifacts.items() if one.media_type == schema.FIGURE_SCRIPT},
        outputs=left.outputs,
        undeclared_reads=left.undeclared_reads,
        undeclared_writes=left.undeclared_writes,
        series=left.series,
        cells=left.cells,
        notebook_source=at.get(schema.TASK_SOURCE),
        attempts=tuple(_attempt(attempt, spans.cells) for attempt in spans.attempts[at[schema.TASK_NAME]]),
    )


class _Left(msgspec.Struct, frozen=True, kw_only=True):
    """The results of an execution: from the span of the one that ran, or from the record of a hit."""

    params: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    artifacts: dict[str, Artifact] = {}
    outputs: dict[str, str] = {}
    undeclared_reads: tuple[str, ...] = ()
    undeclared_writes: tuple[str, ...] = ()
    series: str | None = None
    cells: str | None = None


def _left_by_span(span: Span, at: dict[str, Any]) -> _Left:
    metrics: dict[str, Any] = below(at, schema.METRIC)
    tags: dict[str, Any] = below(at, schema.TAG)
    return _Left(
        metrics=metrics,
        tags=tags,
        artifacts=dict(_artifact(item) for item in span.events if item.name == schema.EVENT_ARTIFACT),
        outputs={
            str(item.attributes[schema.OUTPUT_PATH]): str(item.attributes[schema.OUTPUT_DIGEST])
            for item in span.events
            if item.name == schema.EVENT_OUTPUT
        },
        undeclared_reads=tuple(at.get(schema.UNDECLARED_READS, ())),
        undeclared_writes=tuple(at.get(schema.UNDECLARED_WRITES, ())),
        series=at.get(schema.SERIES),
        cells=at.get(schema.CELLS),
    )


def _left_by_hit(ref: RecordRef | None, resolve: Resolve) -> _Left:
    record = resolve(ref.own_key, ref.key) if ref else None
    if record is None:
        return _Left()
    logged = record["logged"]
    undeclared = [(access["mode"], access["path"]) for access in record["undeclared"]]
    return _Left(
        params=logged["params"],
        metrics={name: float(value) for name, value in logged["metrics"].items()},
        tags=logged["tags"],
        artifacts={name: Artifact(**artifact) for name, artifact in logged["artifacts"].items()},
        outputs={output["path"]: output["digest"] for output in record["outputs"]},
        undeclared_reads=tuple(path for mode, path in undeclared if mode == "read"),
        undeclared_writes=tuple(path for mode, path in undeclared if mode == "write"),
        series=logged["series"],
        cells=record["cells"],
    )


def _artifact(item: SpanEvent) -> tuple[str, Artifact]:
    at: dict[str, Any] = dict(item.attributes)
    return at[schema.ARTIFACT_NAME], Artifact(
        sha256=at[schema.ARTIFACT_HASH].removeprefix("sha256:"),
        size=at[schema.FILE_SIZE],
        media_type=at[schema.ARTIFACT_MEDIA],
    )


def _source(span: Span, at: dict[str, Any]) -> Source | None:
    for link in span.links:
        if link.attributes.get(schema.LINK_TYPE) == "cache_source":
            return Source(
                run_id=at.get(schema.CACHE_SOURCE_RUN, ""),
                trace_id=link.trace_id,
                span_id=link.span_id,
            )
    return None


def _attempt(span: Span, cells: Mapping[str, list[Span]]) -> AttemptRun:
    at: dict[str, Any] = dict(span.attributes)
    return AttemptRun(
        number=at.get(schema.ATTEMPT_NUMBER, 1),
        outcome=at[schema.ATTEMPT_OUTCOME],
        started=span.start,
        ended=span.end,
        failure=_failure(span, at),
        cells=tuple(_cell(cell) for cell in cells.get(span.span_id, ())),
        cpu_s=at.get(schema.ATTEMPT_CPU),
        peak_rss=at.get(schema.ATTEMPT_MEMORY),
        wait_s=at.get(schema.ATTEMPT_WAIT),
        pool=at.get(schema.ATTEMPT_POOL),
        pool_wait_s=at.get(schema.ATTEMPT_POOL_WAIT),
        exit_code=at.get(schema.EXIT_CODE),
        host=at.get(schema.HOST_NAME),
        node=at.get(schema.ATTEMPT_NODE),
        log=at.get(schema.ATTEMPT_LOG),
        notebook=at.get(schema.ATTEMPT_NOTEBOOK),
        span_id=span.span_id,
    )


def _failure(span: Span, at: dict[str, Any]) -> Failure | None:
    if span.error is None:
        return None
    raised: dict[str, Any] = next(
        (dict(item.attributes) for item in span.events if item.name == schema.EVENT_EXCEPTION), {}
    )
    return Failure(
        type=at.get(schema.ERROR_TYPE, "_OTHER"),
        message=span.error,
        traceback=raised.get(schema.EXCEPTION_TRACE, ""),
        cell=CellRef(at[schema.FAILURE_CELL]) if schema.FAILURE_CELL in at else None,
        cell_source=at.get(schema.FAILURE_SOURCE, ""),
        line=at.get(schema.FAILURE_LINE),
    )


def _cell(span: Span) -> CellRun:
    at: dict[str, Any] = dict(span.attributes)
    return CellRun(
        cell=CellRef(at[schema.CELL_INDEX]),
        first_line=at.get(schema.CELL_LINE, ""),
        started=span.start,
        ended=span.end,
        error=at.get(schema.ERROR_TYPE),
        allowed=at.get(schema.CELL_ALLOWED),
    )
