"""The spans of tasks, attempts and cells, as values made from values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from nbmake_dag.execute.protocol import AttemptResult, CellRun, EnvironmentMade, Failure, Transfer
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag_cache.record import Access, Logged, Output, Record
from nbmake_dag_reporting import schema
from nbmake_dag_reporting.names import escape
from nbmake_dag_reporting.spans import AttributeValue, Link, Span, SpanEvent, attribute_text, attribute_value
from nbmake_dag_reporting.vocabulary import HITS, AttemptOutcome, TaskStatus, TaskType

if TYPE_CHECKING:
    from nbmake_dag.core.model import Task

_RESULTS: dict[TaskStatus, str] = {
    "up_to_date": "success",
    "restored": "success",
    "ran": "success",
    "failed": "failure",
    "skipped": "skip",
    "cancelled": "cancellation",
}
_FAILED_RESULTS: dict[AttemptOutcome, str] = {"timeout": "timeout", "lost": "error"}


class SpanContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where a span belongs: its trace, its own identifier, the span above it."""

    trace_id: str
    span_id: str
    parent_id: str


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a record holds of a task, independent of its end."""

    name: str
    family: str
    type: TaskType
    path: str = ""
    form: str = ""
    function: str = ""
    parameters: Mapping[str, object] = {}
    upstreams: tuple[str, ...] = ()
    previous_s: float | None = None

    @classmethod
    def of(cls, task: Task, upstreams: Iterable[str], previous_s: float | None = None) -> TaskInfo:
        """Describe a task of a pipeline; ``previous_s`` is how long its last execution took."""
        from nbmake_dag.core.model import Command, Function, Notebook  # noqa: PLC0415 - a run of hits has no tasks

        match task.work:
            case Notebook(path=path, form=form):
                source, function = str(path), ""
            case Function(module=module, qualname=qualname):
                source, form, function = "", "", f"{module}.{qualname}"
            case Command():
                source, form, function = "", "", ""
        return cls(
            name=task.name,
            family=task.family,
            type=task.type,
            path=source,
            form=form,
            function=function,
            parameters=task.parameters,
            upstreams=tuple(upstreams),
            previous_s=previous_s,
        )


def task_span(
    context: SpanContext,
    info: TaskInfo,
    outcome: TaskOutcome,
    *,
    url: str,
    start: int,
    end: int,
    spans: Mapping[str, str],
) -> Span:
    """Describe a task. ``spans`` has the span of each task above it that has one in this trace."""
    attributes = _task_attributes(info, outcome, url)
    events: list[SpanEvent] = []
    links = [_depends_on(context.trace_id, spans[name]) for name in info.upstreams if name in spans]
    error = None
    if outcome.status in HITS and outcome.record:
        attributes |= _hit_attributes(outcome.record)
        links.append(_cache_source(outcome.record))
    elif outcome.attempts:
        last = outcome.attempts[-1]
        attributes |= _execution_attributes(outcome, last)
        events += _output_events(last.outputs, last.ended) + _artifact_events(last.logged, last.ended)
        if outcome.status == "failed":
            failure = last.failure or Failure(type="_OTHER", message=last.outcome)
            error, raised = _raised(failure, last.ended)
            attributes[schema.ERROR_TYPE] = attribute_text(failure.type)
            events.append(raised)
    return Span(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_id=context.parent_id,
        name=attribute_text(info.name),
        start=start,
        end=end,
        attributes=attributes,
        events=tuple(events),
        links=tuple(links),
        error=error,
    )


def attempt_span(
    context: SpanContext,
    task: str,
    number: int,
    result: AttemptResult,
    pool: str | None = None,
    pool_wait_s: float | None = None,
) -> Span:
    """Describe one attempt, from its result; ``pool`` is the one that it waited for, that many seconds."""
    attributes: dict[str, AttributeValue] = {
        schema.TASK_NAME: attribute_text(task),
        schema.ATTEMPT_NUMBER: number,
        schema.ATTEMPT_OUTCOME: result.outcome,
    }
    optional: dict[str, AttributeValue] = {
        schema.ATTEMPT_WAIT: None if result.ready is None else (result.ready - result.started) / 1e9,
        schema.ATTEMPT_POOL: pool,
        schema.ATTEMPT_POOL_WAIT: pool_wait_s,
        schema.ATTEMPT_CPU: result.cpu_s,
        schema.ATTEMPT_MEMORY: result.peak_rss,
        schema.EXIT_CODE: result.exit_code,
        schema.PROCESS_PID: result.pid,
        schema.HOST_NAME: result.host,
        schema.ATTEMPT_NODE: result.node,
        schema.ATTEMPT_LOG: result.log,
        **_transfer_attributes(result.transfer),
        schema.ATTEMPT_NOTEBOOK: result.notebook,
    }
    attributes |= _present(optional)
    error, events = None, tuple[SpanEvent, ...]()
    if result.outcome != "succeeded" and (failure := result.failure):
        attributes |= _failure_attributes(failure)
        error, raised = _raised(failure, result.ended)
        events = (raised,)
    return Span(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_id=context.parent_id,
        name=f"attempt {number}",
        start=result.started,
        end=result.ended,
        attributes=attributes,
        events=events,
        error=error,
    )


def _transfer_attributes(transfer: Transfer | None) -> dict[str, AttributeValue]:
    if transfer is None:
        return {}
    return {
        schema.ATTEMPT_PLACEMENT: transfer.placement_s,
        schema.TRANSFER_SECONDS: transfer.seconds,
        schema.TRANSFER_FETCHED: transfer.fetched,
        schema.TRANSFER_SHARED: transfer.shared,
        schema.TRANSFER_SENT: transfer.sent,
    }


def cell_span(
    context: SpanContext, task: str, attempt: int, cell: CellRun, failure: Failure | None = None
) -> Span:
    """Describe one cell; ``failure`` is that of the attempt, where this cell caused it."""
    attributes: dict[str, AttributeValue] = {
        schema.TASK_NAME: attribute_text(task),
        schema.ATTEMPT_NUMBER: attempt,
        schema.CELL_INDEX: cell.cell.index,
        schema.CELL_LINE: attribute_text(cell.first_line),
    }
    if cell.allowed is not None:
        attributes[schema.CELL_ALLOWED] = attribute_text(cell.allowed)
    error, events = None, tuple[SpanEvent, ...]()
    if cell.error is not None:
        attributes[schema.ERROR_TYPE] = error = attribute_text(cell.error)
        if failure:
            error, raised = _raised(failure, cell.ended)
            events = (raised,)
    return Span(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_id=context.parent_id,
        name=f"cell {cell.cell.index}",
        start=cell.started,
        end=cell.ended,
        attributes=attributes,
        events=events,
        error=error,
    )


def environment_span(context: SpanContext, made: EnvironmentMade) -> Span:
    """Describe how an attempt made the environment that it runs in."""
    attributes: dict[str, AttributeValue] = {
        schema.ENVIRONMENT_NAME: attribute_text(made.environment),
        schema.ENVIRONMENT_PACKAGES: made.packages,
    }
    if made.error:
        attributes[schema.ERROR_TYPE] = "EnvironmentError"
    return Span(
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_id=context.parent_id,
        name=f"environment {attribute_text(made.environment)}",
        start=made.started,
        end=made.time,
        attributes=attributes,
        error=attribute_text(made.error) or None,
    )


def named(prefix: str, values: Mapping[str, object]) -> dict[str, AttributeValue]:
    """Return values of any name as attributes below a prefix."""
    return {prefix + escape(name): attribute_value(value) for name, value in values.items()}


def _task_attributes(info: TaskInfo, outcome: TaskOutcome, url: str) -> dict[str, AttributeValue]:
    name = attribute_text(info.name)
    result = _RESULTS[outcome.status]
    if outcome.status == "failed" and outcome.attempts:
        result = _FAILED_RESULTS.get(outcome.attempts[-1].outcome, result)
    optional: dict[str, AttributeValue] = {
        schema.CODE_PATH: attribute_text(info.path) or None,
        schema.TASK_FORMAT: info.form or None,
        schema.CODE_FUNCTION: info.function or None,
        schema.TASK_REASONS: [attribute_text(reason) for reason in outcome.reasons] or None,
        schema.TASK_CODES: list(outcome.codes) or None,
        schema.TASK_SOURCE: outcome.notebook_source,
        schema.TASK_DRAFT: outcome.draft or None,
        schema.CACHE_KEY: outcome.record.key if outcome.record else None,
        schema.CACHE_OWN_KEY: outcome.record.own_key if outcome.record else None,
    }
    return {
        schema.TASK_NAME: name,
        schema.TASK_RUN_ID: name,
        schema.TASK_RESULT: result,
        schema.TASK_URL: url,
        schema.TASK_TYPE: info.type,
        schema.TASK_FAMILY: info.family,
        schema.TASK_STATUS: outcome.status,
        **_present(optional),
        **named(schema.PARAM, info.parameters),
    }


def _hit_attributes(record: Record) -> dict[str, AttributeValue]:
    origin = record.origin
    attributes: dict[str, AttributeValue] = {
        schema.CACHE_STATUS: "hit",
        schema.CACHE_SAVED: origin.duration_s,
        schema.CACHE_SOURCE_RUN: origin.run_id,
    }
    return {**attributes, schema.CACHE_ACCEPTED: True} if record.accepted else attributes


def _execution_attributes(outcome: TaskOutcome, last: AttemptResult) -> dict[str, AttributeValue]:
    logged = last.logged
    accesses: Iterable[Access] = outcome.record.undeclared if outcome.record else ()
    optional: dict[str, AttributeValue] = {
        schema.SERIES: logged.series,
        schema.CELLS: last.cell_outputs,
        schema.UNDECLARED_READS: [attribute_text(item.path) for item in accesses if item.mode == "read"] or None,
        schema.UNDECLARED_WRITES: [attribute_text(item.path) for item in accesses if item.mode == "write"] or None,
    }
    return {
        schema.CACHE_STATUS: "miss",
        **_present(optional),
        **named(schema.PARAM, logged.params),
        **named(schema.METRIC, {name: float(value) for name, value in logged.metrics.items()}),
        **named(schema.TAG, logged.tags),
    }


def _failure_attributes(failure: Failure) -> dict[str, AttributeValue]:
    optional: dict[str, AttributeValue] = {
        schema.FAILURE_CELL: failure.cell.index if failure.cell else None,
        schema.FAILURE_LINE: failure.line,
        schema.FAILURE_SOURCE: attribute_text(failure.cell_source) or None,
    }
    return {schema.ERROR_TYPE: attribute_text(failure.type), **_present(optional)}


def _raised(failure: Failure, time: int) -> tuple[str, SpanEvent]:
    message = attribute_text(failure.message)
    attributes: dict[str, AttributeValue] = {
        schema.EXCEPTION_TYPE: attribute_text(failure.type),
        schema.EXCEPTION_MESSAGE: message,
    }
    if failure.traceback:
        attributes[schema.EXCEPTION_TRACE] = attribute_text(failure.traceback)
    return message, SpanEvent(name=schema.EVENT_EXCEPTION, time=time, attributes=attributes)


def _output_events(outputs: Iterable[Output], time: int) -> list[SpanEvent]:
    return [
        SpanEvent(
            name=schema.EVENT_OUTPUT,
            time=time,
            attributes={
                schema.OUTPUT_PATH: attribute_text(output.path),
                schema.OUTPUT_DIGEST: output.digest,
                schema.FILE_SIZE: sum(file.size for file in output.files),
            },
        )
        for output in outputs
    ]


def _artifact_events(logged: Logged, time: int) -> list[SpanEvent]:
    return [
        SpanEvent(
            name=schema.EVENT_ARTIFACT,
            time=time,
            attributes={
                schema.ARTIFACT_NAME: attribute_text(name),
                schema.ARTIFACT_HASH: f"sha256:{artifact.sha256}",
                schema.FILE_SIZE: artifact.size,
                schema.ARTIFACT_MEDIA: attribute_text(artifact.media_type),
            },
        )
        for name, artifact in logged.artifacts.items()
    ]


def _depends_on(trace_id: str, span_id: str) -> Link:
    return Link(trace_id=trace_id, span_id=span_id, attributes={schema.LINK_TYPE: "depends_on"})


def _cache_source(record: Record) -> Link:
    origin = record.origin
    return Link(trace_id=origin.trace_id, span_id=origin.span_id, attributes={schema.LINK_TYPE: "cache_source"})


def _present(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}
