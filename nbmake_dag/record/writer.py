"""Write the record of a run while the build runs.

Span values are made once and go to the file and, where one is wanted, to an exporter. The first thing that goes
wrong here is reported once; from then on the run is built without a record, because a record never fails a build.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial, wraps
from typing import Concatenate, ParamSpec, Protocol, assert_never

import msgspec

from nbmake_dag.execute import protocol
from nbmake_dag.record.attempts import AttemptTrack
from nbmake_dag.record.hits import Hits, HitTables, hit_row
from nbmake_dag.record.ids import SpanIds, format_traceparent, new_prefix, parse_traceparent, run_url, task_url
from nbmake_dag.record.journal import Journal
from nbmake_dag.record.limits import Keep, bounded, bounded_text
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.run_events import (
    ExecutorReported,
    Notice,
    RetryScheduled,
    RunEnded,
    RunEvent,
    RunStarted,
    TaskEnded,
    TaskQueued,
    TasksKnown,
    TaskWaits,
    Tick,
    UndeclaredFound,
)
from nbmake_dag.record.run_files import LineFile, pack_trace
from nbmake_dag.record.task_spans import SpanContext, TaskInfo, named, task_span
from nbmake_dag_reporting import events, schema
from nbmake_dag_reporting.hit_tables import Filling, encode_reference, expand, fill, tables_of
from nbmake_dag_reporting.otlp import TRACE, decode_line, encode_resource, encode_span, wrap
from nbmake_dag_reporting.spans import AttributeValue, Link, Resource, Span, attribute_text
from nbmake_dag_reporting.vocabulary import HITS, RunResult, count

_SPANS_PER_LINE = 500

P = ParamSpec("P")


class SpanSink(Protocol):
    """Takes spans that have ended, at once and without raising."""

    def export(self, spans: Sequence[Span]) -> None: ...

    def close(self) -> None: ...


class RunHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run when it begins. ``traceparent`` is the one that nbdag itself was started under."""

    run_id: str
    trace_id: str
    pipeline: str
    started: int
    resource: Resource
    parameters: Mapping[str, object] = {}
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    traceparent: str = ""


def _recorded(
    method: Callable[Concatenate[RunWriter, P], None],
) -> Callable[Concatenate[RunWriter, P], None]:
    @wraps(method)
    def guarded(self: RunWriter, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if self.broken:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # a record never fails a build
            self.give_up(error)

    return guarded


class RunWriter:
    """The listener that records a run; called from one thread, in the order in which things happen."""

    def __init__(
        self,
        runs_dir: str,
        header: RunHeader,
        *,
        keep: Keep,
        warn: Callable[[str], None],
        exporter: SpanSink | None = None,
    ) -> None:
        self.broken = False
        self._runs = runs_dir
        self.directory = os.path.join(runs_dir, header.run_id)
        self.header = header
        self._keep = keep
        self._warn = warn
        self._exporter = exporter
        self._ids = SpanIds()
        self._run_span = self._ids.new()
        self._task_prefix = new_prefix()
        self._task_numbers: dict[str, int] = {}
        """The last eight digits of the span of each task: its place in the pipeline, so that rows are alike."""
        self._tracks: dict[tuple[str, int], AttemptTrack] = {}
        self._infos: dict[str, TaskInfo] = {}
        self._waits: dict[str, tuple[int, str]] = {}
        """The pool that a task waits for, and since when."""
        self._counts = count(())
        self._saved = 0.0
        self._waiting: list[bytes] = []
        self._tables = HitTables(runs_dir)
        self._named: list[str] = []
        """The tables that the trace names; it has no other hits unless `_has_few`."""
        self._has_few = False
        self._hits_since = 0
        """When the first hit was noted that no line of the trace has yet."""
        self._files: list[LineFile] = []
        self._resource = encode_resource(header.resource)
        self._url = str(header.resource.attributes.get(schema.RUN_URL) or run_url(self.directory))

    def give_up(self, error: Exception) -> None:
        """Report once that there will be no complete record."""
        self.broken = True
        self._warn(f"the record of run {self.header.run_id} is incomplete: {str(error) or type(error).__name__}")

    def task_span_id(self, task: str) -> str:
        """Return the span of a task, whether or not it has begun."""
        return f"{self._task_prefix}{self._number(task):08x}"

    def _number(self, task: str) -> int:
        return self._task_numbers.setdefault(task, len(self._task_numbers) + 1)

    def traceparent_for(self, task: str, attempt: int) -> str:
        """Return the ``TRACEPARENT`` of an attempt, before it begins."""
        return format_traceparent(self.header.trace_id, self._track(task, attempt).context.span_id)

    def notify(self, event: RunEvent) -> None:
        """Record an event of a run."""
        match event:
            case RunStarted(graph=graph, durations=durations):
                self.started(
                    TaskInfo.of(graph.tasks[name], graph.upstream[name], durations.get(name))
                    for name in graph.order
                )
            case TasksKnown(graph=graph, gone=gone, joined=joined):
                self.known(gone, [TaskInfo.of(graph.tasks[name], graph.upstream[name]) for name in joined])
            case TaskQueued(task=task, reasons=reasons, codes=codes):
                self.planned(task, reasons, codes)
            case TaskWaits(task=task, pool=pool):
                self.waits(task, pool)
            case ExecutorReported(event=reported):
                self.attempt_event(reported)
            case TaskEnded(outcome=outcome):
                self.task_ended(outcome)
            case RunEnded(outcome=outcome):
                self.ended(outcome.result, outcome.exit_code)
            case RetryScheduled() | UndeclaredFound() | Notice() | Tick():
                # the attempts themselves and the files of results are recorded; notices are for the terminal
                pass
            case _:
                assert_never(event)

    @_recorded
    def started(self, tasks: Iterable[TaskInfo] = ()) -> None:
        """Begin, with the tasks that the run is about; none for a run that consists of `hits`."""
        self._open()
        self._infos = {info.name: info for info in tasks}
        for name in self._infos:
            self._number(name)
        header = self.header
        self._journal.add(
            events.RunStarted(
                time=header.started,
                run_id=header.run_id,
                trace_id=header.trace_id,
                span_id=self._run_span,
                pipeline=attribute_text(header.pipeline),
                resource=dict(header.resource.attributes),
                attributes=self._given(),
                tasks=_wanted(self._infos.values()),
            )
        )

    @_recorded
    def known(self, gone: Iterable[str], joined: Iterable[TaskInfo]) -> None:
        """Note the tasks of a run of which more have become known, and what stood for them."""
        gone, joined = tuple(gone), tuple(joined)
        self._infos |= {info.name: info for info in joined}
        for info in joined:
            self._number(info.name)
        for name in gone:
            del self._infos[name]
        self._journal.add(
            events.TasksKnown(time=time.time_ns(), gone=tuple(map(attribute_text, gone)), tasks=_wanted(joined))
        )

    @_recorded
    def planned(self, task: str, reasons: Sequence[str] = (), codes: tuple[str, ...] = ()) -> None:
        """Note that a task is going to be executed, and why."""
        self._journal.add(
            events.TaskPlanned(
                time=time.time_ns(), task=task, status="stale", reasons=_texts(reasons), codes=codes
            )
        )

    @_recorded
    def waits(self, task: str, pool: str) -> None:
        """Note that a task begins to wait for a pool."""
        since, name = time.time_ns(), attribute_text(pool)
        self._waits[task] = since, name
        self._journal.add(events.TaskWaits(time=since, task=task, pool=name))

    @_recorded
    def hits(self, hits: Hits, *, start: int, end: int) -> None:
        """Record all tasks of a run as up to date, seen between two times."""
        filling = self._filling(start, end)
        if hits.few:
            line = wrap(self._resource, fill(hits.few, filling))
        else:
            line = encode_reference(self._resource, filling, hits.tables)
        self._trace.write(line)
        if self._exporter:
            from nbmake_dag_reporting.runs import read_table  # noqa: PLC0415 - not for a build with nothing to do

            whole = expand(line, partial(read_table, self._runs))
            if lost := tables_of(whole):
                raise OSError(f"a table of hits is gone or damaged: {lost[0]}")
            for each in whole.splitlines():
                self._exporter.export(decode_line(each)[1])
        self._counts["total"] += hits.count
        self._counts["up_to_date"] += hits.count
        self._saved += hits.saved_s

    @_recorded
    def attempt_event(self, event: protocol.Event) -> None:
        """Record what an executor reports of an attempt."""
        match event:
            case protocol.Started():
                self._flush()
                track = self._track(event.task, event.attempt)
                if event.task in self._waits:
                    since, track.pool = self._waits.pop(event.task)
                    track.pool_wait_s = max(0.0, (event.time - since) / 1e9)
                self._journal.started(event, track.context.span_id)
            case protocol.CellStarted():
                self._journal.cell_started(event)
                self._track(event.task, event.attempt).cell_started(event)
            case protocol.CellEnded():
                self._journal.cell_ended(event)
                self._give(self._track(event.task, event.attempt).cell_ended(event))
            case protocol.Printed():
                self._journal.printed(event)
            case protocol.EnvironmentMade():
                self._give([self._track(event.task, event.attempt).environment_made(event)])
            case protocol.Ended():
                self._give(self._track(event.task, event.attempt).ended(event.result))
                self._journal.ended(event)
                del self._tracks[event.task, event.attempt]
            case _:
                pass

    @_recorded
    def task_ended(self, outcome: TaskOutcome) -> None:
        """Record the end of a task: executed, a hit, skipped or cancelled."""
        now = time.time_ns()
        task = outcome.task
        if outcome.status in HITS and outcome.record:
            self._note_hit(outcome, now)
            self._saved += outcome.record.origin.duration_s
        else:
            self._note_end(outcome, now)
        self._counts["total"] += 1
        self._counts[outcome.status] += 1
        self._journal.add(
            events.TaskFinished(
                time=now,
                task=attribute_text(task),
                status=outcome.status,
                reasons=_texts(outcome.reasons),
                codes=outcome.codes,
                draft=outcome.draft,
            )
        )

    def _note_hit(self, outcome: TaskOutcome, now: int) -> None:
        """Keep the row of a hit for a table, or for a line that it shares with others."""
        self._hits_since = self._hits_since or now
        row = hit_row(self._infos[outcome.task], outcome, self._task_numbers, self._keep)
        self._tables.add(outcome.task, row)
        if self._exporter:
            line = wrap(self._resource, fill(row, self._filling(self._hits_since, self._hits_since)))
            self._exporter.export(decode_line(line)[1])

    def _note_end(self, outcome: TaskOutcome, now: int) -> None:
        """Record the end of a task that was executed, or could not be."""
        task, attempts = outcome.task, outcome.attempts
        span = task_span(
            SpanContext(trace_id=self.header.trace_id, span_id=self.task_span_id(task), parent_id=self._run_span),
            self._infos[task],
            outcome,
            url=task_url(self._url, task),
            start=attempts[0].started if attempts else now,
            end=attempts[-1].ended if attempts else now,
            spans={name: self.task_span_id(name) for name in self._infos[task].upstreams if name in self._infos},
        )
        if attempts:
            self._give([span])
        else:
            self._wait(span)

    def ended(self, result: RunResult, exit_code: int) -> None:
        """End the record: the run's span is the last line, so that it can be found without reading the others."""
        self._end(result, exit_code)
        for file in self._files:
            file.close()
        with suppress(OSError):
            pack_trace(self.directory)
        if self._exporter:
            self._exporter.close()

    def all_hits(self) -> Hits | None:
        """Return what was recorded, if every task was up to date and all of them are in tables."""
        if self.broken or self._has_few or self._counts["up_to_date"] != self._counts["total"]:
            return None
        return Hits(tables=self._named, count=self._counts["total"], saved_s=self._saved)

    @_recorded
    def _end(self, result: RunResult, exit_code: int) -> None:
        self._flush()
        now = time.time_ns()
        attributes: dict[str, AttributeValue] = {
            schema.ACTION: "RUN",
            schema.RESULT: result,
            schema.EXIT_CODE: exit_code,
            schema.RUN_SAVED: self._saved,
            **named(schema.COUNT, self._counts),
            **self._given(),
        }
        error = None
        match result:
            case "failure" | "error":
                attributes[schema.ERROR_TYPE] = "_OTHER"
                error = f"{self._counts['failed']} of {self._counts['total']} tasks failed"
            case "success" | "cancellation":
                pass
            case _:
                assert_never(result)
        outer = parse_traceparent(self.header.traceparent)
        self._give(
            [
                Span(
                    trace_id=self.header.trace_id,
                    span_id=self._run_span,
                    name=f"RUN {attribute_text(self.header.pipeline)}",
                    kind="server",
                    start=self.header.started,
                    end=now,
                    attributes=attributes,
                    links=(Link(trace_id=outer[0], span_id=outer[1], attributes={schema.LINK_TYPE: "outer"}),)
                    if outer
                    else (),
                    error=error,
                )
            ]
        )
        self._journal.add(events.RunEnded(time=now, result=result, exit_code=exit_code))

    def _open(self) -> None:
        os.makedirs(self.directory, exist_ok=True)
        self._trace = self._file(TRACE)
        self._journal = Journal(self._file(events.EVENTS).write)

    def _file(self, name: str) -> LineFile:
        file = LineFile(os.path.join(self.directory, name))
        self._files.append(file)
        return file

    def _given(self) -> dict[str, AttributeValue]:
        given = named(schema.PARAM, self.header.parameters)
        if self.header.targets:
            given[schema.RUN_TARGETS] = [attribute_text(target) for target in self.header.targets]
        if self.header.profiles:
            given[schema.RUN_PROFILES] = list(self.header.profiles)
        return given

    def _track(self, task: str, attempt: int) -> AttemptTrack:
        track = self._tracks.get((task, attempt))
        if track is None:
            context = SpanContext(
                trace_id=self.header.trace_id, span_id=self._ids.new(), parent_id=self.task_span_id(task)
            )
            track = AttemptTrack(context, task, attempt, self._ids)
            self._tracks[task, attempt] = track
        return track

    def _wait(self, span: Span) -> None:
        """Keep the span of a task that did nothing for a line that it shares with others."""
        span = bounded(span, self._keep)
        self._waiting.append(encode_span(span))
        if self._exporter:
            self._exporter.export([span])
        if len(self._waiting) >= _SPANS_PER_LINE:
            self._flush()

    def _give(self, spans: Sequence[Span]) -> None:
        self._flush()
        spans = [bounded(span, self._keep) for span in spans]
        for span in spans:
            self._trace.write(wrap(self._resource, encode_span(span)))
        if self._exporter and spans:
            self._exporter.export(spans)

    def _flush(self) -> None:
        if self._waiting:
            self._trace.write(wrap(self._resource, b",".join(self._waiting)))
            self._waiting.clear()
        if self._hits_since:
            filling = self._filling(self._hits_since, self._hits_since)
            self._hits_since = 0
            if few := self._tables.take_few():
                self._has_few = True
                self._trace.write(wrap(self._resource, fill(few, filling)))
            else:
                names = self._tables.take()
                self._named += names
                self._trace.write(encode_reference(self._resource, filling, names))

    def _filling(self, start: int, end: int) -> Filling:
        return Filling(
            trace_id=self.header.trace_id,
            parent_id=self._run_span,
            prefix=self._task_prefix,
            url=self._url,
            start=start,
            end=end,
        )


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(attribute_text(bounded_text(text)) for text in texts)


def _wanted(infos: Iterable[TaskInfo]) -> tuple[events.WantedTask, ...]:
    return tuple(
        events.WantedTask(
            name=attribute_text(info.name),
            family=attribute_text(info.family),
            upstreams=tuple(map(attribute_text, info.upstreams)),
            previous_s=info.previous_s,
        )
        for info in infos
    )
