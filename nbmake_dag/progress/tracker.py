"""The progress of a run, computed from its events as the values that the live block shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import CellStarted, Ended, Event, Started
from nbmake_dag.progress.estimate import expected_durations, remaining
from nbmake_dag.progress.live import Progress, Running
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.run_events import RunStarted

_ESTIMATE_S = 1.0
"""Between two estimates: one looks at every task."""


class Tracker:
    """Times are seconds of the display's clock, on whichever machine a task runs.

    ``ended`` grows while the run goes on.
    """

    def __init__(self, run: RunStarted, ended: Mapping[TaskName, TaskOutcome]) -> None:
        self._run = run
        self._ended = ended
        self._queued: set[TaskName] = set()
        self._running: dict[TaskName, Running] = {}
        self._pools: dict[TaskName, str] = {}
        self._eta: float | None = None
        self._next_estimate = 0.0

    def take(self, run: RunStarted) -> None:
        """Take a run of which more tasks are known."""
        self._run = run

    def queued(self, task: TaskName) -> None:
        self._queued.add(task)

    def waits(self, task: TaskName, pool: str) -> None:
        self._pools[task] = pool

    def happened(self, event: Event, now: float) -> None:
        match event:
            case Started():
                task = TaskName(event.task)
                self._running[task] = Running(task=task, since=now)
                self._pools.pop(task, None)
            case CellStarted() if running := self._running.get(TaskName(event.task)):
                running.cell = f"{event.position}/{event.total}"
                running.code = event.first_line
            case Ended():
                self._running.pop(TaskName(event.task), None)
            case _:
                pass

    def progress(self, now: float) -> Progress:
        if now >= self._next_estimate:
            self._eta = self._estimate(now)
            self._next_estimate = now + _ESTIMATE_S
        waiting = self._queued - self._ended.keys() - self._running.keys()
        return Progress(
            ended=len(self._ended),
            total=len(self._run.graph.order),
            waiting=len(waiting),
            pools=Counter(pool for task, pool in self._pools.items() if task in waiting),
            failed=sum(outcome.status == "failed" for outcome in self._ended.values()),
            eta=self._eta,
            running=tuple(self._running.values()),
        )

    def _estimate(self, now: float) -> float | None:
        graph = self._run.graph
        measured: dict[str, float] = {
            name: outcome.duration_s for name, outcome in self._ended.items() if outcome.status == "ran"
        }
        durations = expected_durations(graph, {**self._run.durations, **measured})
        ages = {task: now - running.since for task, running in self._running.items()}
        left = graph.tasks.keys() - self._ended.keys()
        if not durations:
            return None
        return remaining(graph, durations, left, ages, self._run.jobs, self._run.pipeline.pools)
