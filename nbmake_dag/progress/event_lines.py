"""The events of builds as lines of JSON on standard output, for programs; the types are the schema of a line.

What attempts do is reported as in ``events.jsonl`` (`nbmake_dag_reporting.events`), which limits printed text.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Literal, TypeAlias, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nbmake_dag import __version__
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.ending_signals import write_to_reader
from nbmake_dag.errors import ConfigError, NbdagError
from nbmake_dag.execute import protocol
from nbmake_dag.record import run_events
from nbmake_dag.record.journal import Journal
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome, UndeclaredFile
from nbmake_dag.record.run_events import ExecutorReported, RunEvent, Tick
from nbmake_dag_reporting import events
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import RunNotFoundError, read_run
from nbmake_dag_reporting.spans import attribute_text
from nbmake_dag_reporting.vocabulary import HITS, RunResult, TaskStatus, TaskType, count


class StreamOpened(Struct, frozen=True, kw_only=True, tag="stream_opened", tag_field="event"):
    """The first line. `format` is raised when an event or a member is removed or means something else."""

    format: Literal[1] = 1
    version: str


class WantedTask(Struct, frozen=True, kw_only=True):
    """A task that the run is about. `previous_s` is how long its last execution took, in seconds."""

    name: str
    family: str
    type: TaskType | Literal[""]
    upstream: tuple[str, ...]
    previous_s: float | None = None


class RunStarted(Struct, frozen=True, kw_only=True, tag="run_started", tag_field="event"):
    """A run begins, with its tasks in the order of a build. Each has a `task_ended` later, if it is not `gone`."""

    time: int
    run_id: str
    pipeline: str
    tasks: tuple[WantedTask, ...]


class TasksKnown(Struct, frozen=True, kw_only=True, tag="tasks_known", tag_field="event"):
    """Tasks joined that only the run could know, or need others than was known; what stood for them is `gone`."""

    time: int
    gone: tuple[str, ...]
    tasks: tuple[WantedTask, ...]


class TaskQueued(Struct, frozen=True, kw_only=True, tag="task_queued", tag_field="event"):
    """A task will be executed, and why; a code for each reason."""

    time: int
    task: str
    reasons: tuple[str, ...]
    codes: tuple[str, ...]


class AttemptStarted(Struct, frozen=True, kw_only=True, tag="attempt_started", tag_field="event"):
    """An attempt left the queue, in a process of this machine or on a node of a cluster."""

    time: int
    task: str
    attempt: int
    pid: int | None
    node: str | None


class RetryScheduled(Struct, frozen=True, kw_only=True, tag="retry_scheduled", tag_field="event"):
    """Attempt number `attempt` follows a failed one, in `delay_s` seconds."""

    time: int
    task: str
    attempt: int
    delay_s: float


class TaskEnded(Struct, frozen=True, kw_only=True, tag="task_ended", tag_field="event"):
    """A task has its status. A skipped one names in `because` the task that failed."""

    time: int
    task: str
    status: TaskStatus
    reasons: tuple[str, ...]
    codes: tuple[str, ...]
    key: str | None
    duration_s: float
    attempts: int
    draft: bool
    because: str | None = None


class UndeclaredFound(Struct, frozen=True, kw_only=True, tag="undeclared_found", tag_field="event"):
    """A task is up to date by a result for which files were used that it does not declare."""

    time: int
    task: str
    files: tuple[UndeclaredFile, ...]


class Notice(Struct, frozen=True, kw_only=True, tag="notice", tag_field="event"):
    """Something that a person should read; words that may change."""

    time: int
    text: str


class RunEnded(Struct, frozen=True, kw_only=True, tag="run_ended", tag_field="event"):
    """A run is over, and recorded. `saved_s`: the seconds that took what was reused; `error`: of the machine."""

    time: int
    run_id: str
    result: RunResult
    exit_code: int
    duration_s: float
    saved_s: float
    counts: dict[str, int]
    error: str | None


class Complaint(Struct, frozen=True, kw_only=True, tag="complaint", tag_field="event"):
    """Of `nbdag watch`: why nothing can be built until files change; an empty text when that is over."""

    time: int
    text: str


class Fault(Struct, frozen=True, kw_only=True):
    """One thing wrong in one place: `pipeline.toml:12`, or another `file:line`."""

    what: str
    place: str
    hint: str


class Refused(Struct, frozen=True, kw_only=True, tag="refused", tag_field="event"):
    """The last line of a build that could not begin, or that could not go on. `faults` are those of files."""

    time: int
    exit_code: int
    what: str
    facts: dict[str, str]
    hint: str
    faults: tuple[Fault, ...]


EventLine: TypeAlias = (
    StreamOpened
    | RunStarted
    | TasksKnown
    | TaskQueued
    | events.TaskWaits
    | AttemptStarted
    | events.CellStarted
    | events.CellEnded
    | events.Printed
    | events.AttemptEnded
    | RetryScheduled
    | TaskEnded
    | UndeclaredFound
    | Notice
    | RunEnded
    | Complaint
    | Refused
)

_encode = msgspec.json.Encoder().encode


@contextmanager
def event_lines(stream: BinaryIO) -> Generator[tuple[EventLines]]:
    """Write the events of the builds within; raises `OSError` at the end for lines that could not be written.

    A reader that has gone is no error: the build goes on without it.
    """
    lines = EventLines(stream)
    try:
        yield (lines,)
    except NbdagError as error:
        lines.refuse(error)
        raise
    if lines.broken is not None:
        raise lines.broken


class EventLines:
    """The listener that writes a line for each event, at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self.broken: OSError | None = None
        """What keeps further lines from being written."""
        self._stream: BinaryIO | None = stream
        self._journal = Journal(self._write)
        self._is_started = False
        self._add(StreamOpened(version=__version__))

    def notify(self, event: RunEvent) -> None:  # noqa: C901 - one case for each event
        match event:
            case run_events.RunStarted():
                self._started(event)
            case run_events.TasksKnown():
                self._known(event)
            case run_events.TaskQueued() | run_events.TaskWaits():
                self._queued(event)
            case ExecutorReported(event=reported):
                self._reported(reported)
            case run_events.RetryScheduled(task=task, attempt=attempt, delay_s=delay_s):
                self._add(RetryScheduled(time=time.time_ns(), task=task, attempt=attempt, delay_s=delay_s))
            case run_events.TaskEnded(outcome=outcome):
                self._task_ended(outcome)
            case run_events.UndeclaredFound(task=task, files=files):
                files = tuple(replace(file, path=attribute_text(file.path)) for file in files)
                self._add(UndeclaredFound(time=time.time_ns(), task=task, files=files))
            case run_events.Notice(text=text):
                self._add(Notice(time=time.time_ns(), text=attribute_text(text)))
            case run_events.RunEnded(outcome=outcome):
                self._run_ended(outcome)
            case Tick():
                pass
            case _:
                assert_never(event)

    def _queued(self, event: run_events.TaskQueued | run_events.TaskWaits) -> None:
        now, task = time.time_ns(), event.task
        match event:
            case run_events.TaskQueued(reasons=reasons, codes=codes):
                self._add(TaskQueued(time=now, task=task, reasons=_texts(reasons), codes=codes))
            case run_events.TaskWaits(pool=pool):
                self._add(events.TaskWaits(time=now, task=task, pool=attribute_text(pool)))

    def refuse(self, error: NbdagError) -> None:
        """Report why nothing is built."""
        complaints = error.complaints if isinstance(error, ConfigError) else ()
        text = attribute_text
        self._add(
            Refused(
                time=time.time_ns(),
                exit_code=error.exit_code,
                what=text(error.what),
                facts={name: text(fact) for name, fact in error.facts},
                hint=text(error.hint),
                faults=tuple(
                    Fault(what=text(each.what), place=text(each.place), hint=text(each.hint))
                    for each in complaints
                ),
            )
        )

    def complain(self, complaint: str) -> None:
        """Report why nothing can be built; an empty text when it is resolved."""
        self._add(Complaint(time=time.time_ns(), text=attribute_text(complaint)))

    def _started(self, run: run_events.RunStarted) -> None:
        self._is_started = True
        self._journal = Journal(self._write)
        self._add(
            RunStarted(
                time=run.started,
                run_id=run.run_id,
                pipeline=attribute_text(run.pipeline.name),
                tasks=tuple(_wanted(name, run.graph, run.durations.get(name)) for name in run.graph.order),
            )
        )

    def _known(self, event: run_events.TasksKnown) -> None:
        tasks = tuple(_wanted(name, event.graph) for name in event.joined)
        self._add(TasksKnown(time=time.time_ns(), gone=event.gone, tasks=tasks))

    def _reported(self, event: protocol.Event) -> None:
        match event:
            case protocol.Started(time=began, task=task, attempt=attempt, pid=pid, node=node):
                self._add(AttemptStarted(time=began, task=task, attempt=attempt, pid=pid, node=node))
            case protocol.CellStarted():
                self._journal.cell_started(event)
            case protocol.CellEnded():
                self._journal.cell_ended(event)
            case protocol.Printed():
                self._journal.printed(event)
            case protocol.Ended():
                self._journal.ended(event)
            case _:
                pass

    def _task_ended(self, outcome: TaskOutcome) -> None:
        self._add(
            TaskEnded(
                time=time.time_ns(),
                task=outcome.task,
                status=outcome.status,
                reasons=_texts(outcome.reasons),
                codes=outcome.codes,
                key=outcome.record.key if outcome.record else None,
                duration_s=outcome.duration_s,
                attempts=len(outcome.attempts),
                draft=outcome.draft,
                because=outcome.because,
            )
        )

    def _run_ended(self, outcome: RunOutcome) -> None:
        hits = (task.record for task in outcome.tasks.values() if task.status in HITS and task.record)
        saved_s = sum(record.origin.duration_s for record in hits)
        counts = count(task.status for task in outcome.tasks.values())
        if not self._is_started:
            # nothing was looked at task by task, so none was reported
            counts["total"] = counts["up_to_date"] = outcome.unchanged
            with suppress(RunNotFoundError):
                run = read_run(outcome.folder)
                saved_s = run.saved_s
                self._all_up_to_date(run)
        self._is_started = False
        self._add(
            RunEnded(
                time=time.time_ns(),
                run_id=outcome.run_id,
                result=outcome.result,
                exit_code=outcome.exit_code,
                duration_s=outcome.duration_s,
                saved_s=saved_s,
                counts=counts,
                error=None if outcome.error is None else attribute_text(outcome.error),
            )
        )

    def _all_up_to_date(self, run: Run) -> None:
        """Report a run without anything to do, as its record has it."""
        tasks = run.tasks.values()
        self._add(
            RunStarted(
                time=run.started,
                run_id=run.id,
                pipeline=run.pipeline,
                tasks=tuple(
                    WantedTask(name=task.name, family=task.family, type=task.type, upstream=task.upstreams)
                    for task in tasks
                ),
            )
        )
        for task in tasks:
            self._add(
                TaskEnded(
                    time=task.ended or run.started,
                    task=task.name,
                    status=task.status,
                    reasons=task.reasons,
                    codes=task.codes,
                    key=task.key,
                    duration_s=0.0,
                    attempts=0,
                    draft=task.draft,
                )
            )

    def _add(self, line: EventLine) -> None:
        self._write(_encode(line) + b"\n")

    def _write(self, data: bytes) -> None:
        """Write whole lines; what goes wrong ends the writing, and not the build."""
        if self._stream is None:
            return
        try:
            write_to_reader(self._stream.fileno(), data)
        except BrokenPipeError:
            self._stream = None
        except OSError as error:
            self.broken, self._stream = error, None


def _texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(attribute_text, texts))


def _wanted(name: TaskName, graph: Graph, previous_s: float | None = None) -> WantedTask:
    task = graph.tasks[name]
    return WantedTask(
        name=name, family=task.family, type=task.type, upstream=tuple(graph.upstream[name]), previous_s=previous_s
    )
