"""Who is told what happens in a run, as it happens: the terminal, the run record, a live view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.execute.protocol import Event
from nbmake_dag.observe.project import Project

if TYPE_CHECKING:
    from nbmake_dag.core.graph import Graph
    from nbmake_dag.core.model import Pipeline, TaskName


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What is known when a run begins. ``started`` in nanoseconds since the epoch; ``durations`` in seconds."""

    run_id: str
    started: int
    project: Project
    pipeline: Pipeline
    graph: Graph
    durations: Mapping[str, float]
    """How long each task took when it last ran."""
    jobs: int


class Listener(Protocol):
    """Told everything in one thread, in order; what it raises would end the build, so it does not raise."""

    def begun(self, run: RunStart) -> None: ...

    def queued(self, task: TaskName, reasons: tuple[str, ...]) -> None:
        """Told that a task will be executed, and why."""
        ...

    def happened(self, event: Event) -> None:
        """Told what executes: attempts, cells, output."""
        ...

    def retrying(self, task: TaskName, attempt: int, delay_s: float) -> None:
        """Told that attempt number ``attempt`` follows a failed one, after a delay."""
        ...

    def ended(self, outcome: TaskOutcome) -> None: ...

    def said(self, message: str) -> None:
        """Told something that a person should read: a warning, or what was kept where."""
        ...

    def finished(self, outcome: RunOutcome) -> None: ...

    def tick(self) -> None:
        """Draw, about ten times a second while something executes."""
        ...


class Everyone(Listener):
    """Passes on what it is told to several, each time in the same order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def begun(self, run: RunStart) -> None:
        for listener in self._listeners:
            listener.begun(run)

    def queued(self, task: TaskName, reasons: tuple[str, ...]) -> None:
        for listener in self._listeners:
            listener.queued(task, reasons)

    def happened(self, event: Event) -> None:
        for listener in self._listeners:
            listener.happened(event)

    def retrying(self, task: TaskName, attempt: int, delay_s: float) -> None:
        for listener in self._listeners:
            listener.retrying(task, attempt, delay_s)

    def ended(self, outcome: TaskOutcome) -> None:
        for listener in self._listeners:
            listener.ended(outcome)

    def said(self, message: str) -> None:
        for listener in self._listeners:
            listener.said(message)

    def finished(self, outcome: RunOutcome) -> None:
        for listener in self._listeners:
            listener.finished(outcome)

    def tick(self) -> None:
        for listener in self._listeners:
            listener.tick()
