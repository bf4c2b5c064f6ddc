"""Follow one attempt through its events, so that its spans can be written even if its worker dies."""

from __future__ import annotations

import msgspec

from nbmake_dag.execute.protocol import AttemptResult, CellEnded, CellRun, CellStarted, EnvironmentMade, Failure
from nbmake_dag.record.ids import SpanIds
from nbmake_dag.record.task_spans import SpanContext, attempt_span, cell_span, environment_span
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.spans import Span


class AttemptTrack(msgspec.Struct):
    """Makes the spans of one attempt, those of cells as they end.

    One of a cell that failed waits for the end of the attempt, which brings the reason.
    """

    context: SpanContext
    task: str
    number: int
    ids: SpanIds
    pool: str | None = None
    """The pool that it waited for, and for how long in seconds."""
    pool_wait_s: float | None = None
    running: dict[CellRef, CellStarted] = {}
    failed: list[CellRun] = []
    given: set[CellRef] = set()

    def cell_started(self, event: CellStarted) -> None:
        self.running[event.cell] = event

    def cell_ended(self, event: CellEnded) -> list[Span]:
        start = self.running.pop(event.cell, None)
        if start is None:
            return []
        cell = CellRun(
            cell=event.cell,
            first_line=start.first_line,
            started=start.time,
            ended=event.time,
            error=event.error,
            allowed=event.allowed,
        )
        if cell.error is not None:
            self.failed.append(cell)
            return []
        return [self._cell(cell)]

    def environment_made(self, event: EnvironmentMade) -> Span:
        attempt = self.context
        context = SpanContext(trace_id=attempt.trace_id, span_id=self.ids.new(), parent_id=attempt.span_id)
        return environment_span(context, event)

    def ended(self, result: AttemptResult) -> list[Span]:
        """Return the remaining spans: of cells that failed, of cells without an end, and of the attempt itself."""
        failure = result.failure
        cut_off = failure.type if failure else result.outcome
        left = [
            *self.failed,
            *result.cells,
            *(
                CellRun(
                    cell=start.cell,
                    first_line=start.first_line,
                    started=start.time,
                    ended=max(result.ended, start.time),
                    error=cut_off,
                )
                for start in self.running.values()
            ),
        ]
        spans = [self._cell(cell, failure) for cell in left if cell.cell not in self.given]
        attempt = attempt_span(self.context, self.task, self.number, result, self.pool, self.pool_wait_s)
        return [*spans, attempt]

    def _cell(self, cell: CellRun, failure: Failure | None = None) -> Span:
        self.given.add(cell.cell)
        attempt = self.context
        context = SpanContext(trace_id=attempt.trace_id, span_id=self.ids.new(), parent_id=attempt.span_id)
        caused = failure if failure and failure.cell in {None, cell.cell} else None
        return cell_span(context, self.task, self.number, cell, caused)
