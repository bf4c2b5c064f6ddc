"""Follows one attempt through its events, so that its spans can be written whatever becomes of its worker."""

from __future__ import annotations

from dataclasses import dataclass, field

from nbmake_dag.execute.protocol import AttemptResult, CellEnded, CellRun, CellStarted, Failure
from nbmake_dag.record.identity import SpanIds
from nbmake_dag.record.task_spans import Place, attempt_span, cell_span
from nbmake_dag_reporting.spans import Span


@dataclass(slots=True)
class AttemptTrack:
    """Makes the spans of one attempt, those of cells as they end.

    One of a cell that failed waits for the end of the attempt, which brings the reason.
    """

    place: Place
    task: str
    number: int
    ids: SpanIds
    running: dict[int, CellStarted] = field(default_factory=dict[int, CellStarted])
    failed: list[CellRun] = field(default_factory=list[CellRun])
    given: set[int] = field(default_factory=set[int])

    def cell_started(self, event: CellStarted) -> None:
        self.running[event.index] = event

    def cell_ended(self, event: CellEnded) -> list[Span]:
        start = self.running.pop(event.index, None)
        if start is None:
            return []
        cell = CellRun(
            index=event.index,
            first_line=start.first_line,
            started=start.time,
            ended=event.time,
            error=event.error,
        )
        if cell.error is not None:
            self.failed.append(cell)
            return []
        return [self._cell(cell)]

    def ended(self, result: AttemptResult) -> list[Span]:
        """Give the spans that are left: of cells that failed, that nobody saw end, and of the attempt itself."""
        failure = result.failure
        cut_off = failure.type if failure else result.outcome
        left = [
            *self.failed,
            *result.cells,
            *(
                CellRun(
                    index=start.index,
                    first_line=start.first_line,
                    started=start.time,
                    ended=max(result.ended, start.time),
                    error=cut_off,
                )
                for start in self.running.values()
            ),
        ]
        spans = [self._cell(cell, failure) for cell in left if cell.index not in self.given]
        return [*spans, attempt_span(self.place, self.task, self.number, result)]

    def _cell(self, cell: CellRun, failure: Failure | None = None) -> Span:
        self.given.add(cell.index)
        place = Place(trace_id=self.place.trace_id, span_id=self.ids.new(), parent_id=self.place.span_id)
        caused = failure if failure and failure.cell in {None, cell.index} else None
        return cell_span(place, self.task, self.number, cell, caused)
