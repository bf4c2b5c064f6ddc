"""The events of a run, as one union, and the listeners that are notified of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from nbmake_dag.execute import protocol
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome, UndeclaredFile

if TYPE_CHECKING:
    from nbmake_dag.core.graph import Graph
    from nbmake_dag.core.model import Pipeline, TaskName, Value


class RunStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A run begins. ``started`` in nanoseconds since the epoch; ``durations`` in seconds."""

    run_id: str
    started: int
    project: Project
    pipeline: Pipeline
    graph: Graph
    durations: Mapping[str, float]
    """How long each task took when it last ran."""
    jobs: int
    parameters: Mapping[str, Value] = {}
    """Those of the command line."""


class TasksKnown(msgspec.Struct, frozen=True, kw_only=True):
    """The instances of families are known: from now on the run is about the tasks of ``graph``."""

    before: Graph
    graph: Graph

    @property
    def gone(self) -> tuple[TaskName, ...]:
        """What stood for the instances."""
        return tuple(name for name in self.before.order if name not in self.graph.tasks)

    @property
    def joined(self) -> tuple[TaskName, ...]:
        """The tasks that were not there, or that need others than was known."""
        known = self.before.upstream
        return tuple(name for name in self.graph.order if known.get(name) != self.graph.upstream[name])


class TaskQueued(msgspec.Struct, frozen=True, kw_only=True):
    """A task will be executed, and why, with a code for each reason."""

    task: TaskName
    reasons: tuple[str, ...]
    codes: tuple[str, ...]


class TaskWaits(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is queued begins to wait for a pool, until its next attempt."""

    task: TaskName
    pool: str


class ExecutorReported(msgspec.Struct, frozen=True, kw_only=True):
    """An executor reported what executes: attempts, cells, output."""

    event: protocol.Event


class RetryScheduled(msgspec.Struct, frozen=True, kw_only=True):
    """Attempt number ``attempt`` follows a failed one, after a delay."""

    task: TaskName
    attempt: int
    delay_s: float


class TaskEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A task has ended: executed, up to date, restored, skipped or cancelled."""

    outcome: TaskOutcome


class UndeclaredFound(msgspec.Struct, frozen=True, kw_only=True):
    """A task is up to date by a result for which files were used that it does not declare."""

    task: str
    files: tuple[UndeclaredFile, ...]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person should read: a warning, or what was kept where."""

    text: str


class RunEnded(msgspec.Struct, frozen=True, kw_only=True):
    """The run is over; its record is complete once every listener was notified."""

    outcome: RunOutcome


class Tick(msgspec.Struct, frozen=True):
    """Nothing happened for a tenth of a second while something executes: time to draw."""


RunEvent: TypeAlias = (
    RunStarted
    | TasksKnown
    | TaskQueued
    | TaskWaits
    | ExecutorReported
    | RetryScheduled
    | TaskEnded
    | UndeclaredFound
    | Notice
    | RunEnded
    | Tick
)


class Listener(Protocol):
    """Notified of every event in one thread, in order; an exception would end the build, so it raises none."""

    def notify(self, event: RunEvent) -> None: ...


class Broadcast(Listener):
    """Passes each event to several listeners, in their order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def notify(self, event: RunEvent) -> None:
        for listener in self._listeners:
            listener.notify(event)
