"""Convert events of executors to the lines of ``events.jsonl``, with a limit on printed text."""

from __future__ import annotations

from collections.abc import Callable

from nbmake_dag.execute import protocol
from nbmake_dag.record.limits import bounded_text
from nbmake_dag_reporting import events
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.spans import attribute_text

PRINTED_LIMIT = 256 << 10
"""Characters of output kept for each attempt."""


class Journal:
    """Writes events as lines. A cell is named by its index and its identifier."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._printed: dict[tuple[str, int], int] = {}
        self._ids: dict[str, dict[int, str]] = {}
        """The identifier of each cell that began, by its task and index, until the attempt ends."""

    def add(self, *items: events.Event) -> None:
        self._write(b"".join(map(events.encode_event, items)))

    def started(self, event: protocol.Started, span_id: str) -> None:
        self.add(
            events.AttemptStarted(
                time=event.time,
                task=event.task,
                attempt=event.attempt,
                span_id=span_id,
                pid=event.pid,
                node=event.node,
            )
        )

    def cell_started(self, event: protocol.CellStarted) -> None:
        self._ids.setdefault(event.task, {})[event.cell.index] = attribute_text(event.cell_id)
        self.add(
            events.CellStarted(
                time=event.time,
                task=event.task,
                attempt=event.attempt,
                index=event.cell.index,
                position=event.position,
                total=event.total,
                first_line=attribute_text(event.first_line),
                cell_id=self._id(event.task, event.cell),
            )
        )

    def cell_ended(self, event: protocol.CellEnded) -> None:
        self.add(
            events.CellEnded(
                time=event.time,
                task=event.task,
                attempt=event.attempt,
                index=event.cell.index,
                error=event.error,
                allowed=event.allowed,
                cell_id=self._id(event.task, event.cell),
            )
        )

    def printed(self, event: protocol.Printed) -> None:
        spent = self._printed.get((event.task, event.attempt), 0)
        if spent > PRINTED_LIMIT:
            return
        room = PRINTED_LIMIT - spent
        self._printed[event.task, event.attempt] = spent + len(event.text)
        self.add(
            events.Printed(
                time=event.time,
                task=event.task,
                attempt=event.attempt,
                stream=event.stream,
                text=attribute_text(event.text[:room]),
                cell=event.cell.index if event.cell else None,
                cell_id=self._id(event.task, event.cell),
                truncated=len(event.text) > room,
            )
        )

    def ended(self, event: protocol.Ended) -> None:
        result = event.result
        failure = result.failure
        self.add(
            events.AttemptEnded(
                time=result.ended,
                task=event.task,
                attempt=event.attempt,
                outcome=result.outcome,
                error=attribute_text(failure.type) if failure else None,
                message=attribute_text(bounded_text(failure.message)) if failure else "",
                traceback=attribute_text(bounded_text(failure.traceback)) if failure else "",
                cell=failure.cell.index if failure and failure.cell else None,
                cell_id=self._id(event.task, failure.cell if failure else None),
                resumed=result.resumed,
            )
        )
        self._ids.pop(event.task, None)
        self._printed.pop((event.task, event.attempt), None)

    def _id(self, task: str, cell: CellRef | None) -> str:
        return "" if cell is None else self._ids.get(task, {}).get(cell.index, "")
