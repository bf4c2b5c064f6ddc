"""How far a run is: followed from what happens, told as the values that the live block shows."""

from __future__ import annotations

from nbmake_dag.build.listener import RunStart
from nbmake_dag.build.outcome import TaskOutcome
from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import CellStarted, Ended, Event, Started
from nbmake_dag.progress.estimate import expected_durations, remaining
from nbmake_dag.progress.live import Progress, Running

_ESTIMATE_S = 1.0
"""Between two estimates: one looks at every task."""


class Tracker:
    """Times are seconds of the display's clock, whatever machine a task runs on."""

    def __init__(self, run: RunStart) -> None:
        self._graph = run.graph
        self._jobs = run.jobs
        self._durations = dict(run.durations)
        self._left = set(run.graph.order)
        self._queued: set[TaskName] = set()
        self._running: dict[TaskName, Running] = {}
        self._failed = 0
        self._eta: float | None = None
        self._next_estimate = 0.0

    def queued(self, task: TaskName) -> None:
        self._queued.add(task)

    def happened(self, event: Event, now: float) -> None:
        match event:
            case Started():
                task = TaskName(event.task)
                self._running[task] = Running(task=task, since=now)
            case CellStarted() if running := self._running.get(TaskName(event.task)):
                running.cell = f"{event.position}/{event.total}"
                running.code = event.first_line
            case Ended():
                self._running.pop(TaskName(event.task), None)
            case _:
                pass

    def ended(self, outcome: TaskOutcome) -> None:
        self._left.discard(outcome.task)
        self._failed += outcome.status == "failed"
        if outcome.status == "ran":
            self._durations[outcome.task] = outcome.duration_s

    def progress(self, now: float) -> Progress:
        if now >= self._next_estimate:
            self._eta = self._estimate(now)
            self._next_estimate = now + _ESTIMATE_S
        total = len(self._graph.order)
        return Progress(
            ended=total - len(self._left),
            total=total,
            waiting=len((self._queued & self._left) - self._running.keys()),
            failed=self._failed,
            eta=self._eta,
            running=tuple(self._running.values()),
        )

    def _estimate(self, now: float) -> float | None:
        durations = expected_durations(self._graph, self._durations)
        ages = {task: now - running.since for task, running in self._running.items()}
        return remaining(self._graph, durations, self._left, ages, self._jobs) if durations else None
