"""The events of a run, as one union, and the listeners that are notified of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from nbmake_dag.execute import protocol
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome, UndeclaredFile

if TYPE_CHECKING:
    from nbmake_dag.core.graph import Graph
    from nbmake_dag.core.model import Pipeline, TaskName, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run begins. ``started`` in nanoseconds since the epoch; ``durations`` in seconds."""

    run_id: str
    started: int
    project: Project
    pipeline: Pipeline
    graph: Graph
    durations: Mapping[str, float]
    """How long each task took when it last ran."""
    jobs: int
    parameters: Mapping[str, Value] = field(default_factory=dict[str, "Value"])
    """Those of the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksKnown:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQueued:
    """A task will be executed, and why, with a code for each reason."""

    task: TaskName
    reasons: tuple[str, ...]
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWaits:
    """A task that is queued begins to wait for a pool, until its next attempt."""

    task: TaskName
    pool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorReported:
    """An executor reported what executes: attempts, cells, output."""

    event: protocol.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled:
    """Attempt number ``attempt`` follows a failed one, after a delay."""

    task: TaskName
    attempt: int
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """A task has ended: executed, up to date, restored, skipped or cancelled."""

    outcome: TaskOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class UndeclaredFound:
    """A task is up to date by a result for which files were used that it does not declare."""

    task: str
    files: tuple[UndeclaredFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a person should read: a warning, or what was kept where."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run is over; its record is complete once every listener was notified."""

    outcome: RunOutcome


@dataclass(frozen=True, slots=True)
class Tick:
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
