"""The listener that writes the record of a run."""

from __future__ import annotations

from nbmake_dag.build.listener import RunStart
from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import Event
from nbmake_dag.record.task_spans import Outcome, TaskInfo
from nbmake_dag.record.writer import RunWriter


class Recorder:
    """Hands what happens to a `RunWriter`; ``notebook_source`` says which blob a task's notebook is now."""

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer

    def begun(self, run: RunStart) -> None:
        graph = run.graph
        self._writer.started(
            TaskInfo.of(graph.tasks[name], graph.upstream[name], run.durations.get(name)) for name in graph.order
        )

    def queued(self, task: TaskName, reasons: tuple[str, ...]) -> None:
        self._writer.planned(task, "stale", reasons)

    def happened(self, event: Event) -> None:
        self._writer.attempt_event(event)

    def retrying(self, task: TaskName, attempt: int, delay_s: float) -> None:
        """Leave no trace: the attempts themselves are recorded."""

    def ended(self, outcome: TaskOutcome) -> None:
        record = outcome.record
        self._writer.task_ended(
            outcome.task,
            Outcome(
                status=outcome.status,
                reasons=outcome.reasons,
                key=record.key if record else None,
                record=record,
                attempts=outcome.attempts,
                notebook_source=outcome.notebook_source,
                draft=outcome.draft,
            ),
        )

    def said(self, message: str) -> None:
        """Leave no trace: messages are for the terminal."""

    def finished(self, outcome: RunOutcome) -> None:
        self._writer.ended(outcome.result, outcome.exit_code)

    def tick(self) -> None:
        """Leave no trace."""
