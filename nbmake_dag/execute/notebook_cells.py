"""The cells of one notebook while they are executed, and what is said of them meanwhile."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from nbformat.v4 import new_output

from nbmake_dag.execute.cell_client import CellClient, CellError
from nbmake_dag.execute.kernels import Kernel, KernelError
from nbmake_dag.execute.notebook_source import Prepared
from nbmake_dag.execute.protocol import AttemptSpec, CellEnded, CellRun, CellStarted, Event, Failure, Printed

_PIECE = 1 << 14
"""Characters of one event: at most 64 KiB."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookCells:
    """Executes the cells in their order; of an injected cell nothing is said."""

    def __init__(self, spec: AttemptSpec, prepared: Prepared, emit: Callable[[Event], None]) -> None:
        self.prepared = prepared
        self.runs: list[CellRun] = []
        self._task = spec.task
        self._attempt = spec.attempt
        self._emit = emit

    async def run(self, kernel: Kernel, stop: asyncio.Event) -> Failure | None:
        """Execute cells until one fails, or ``stop`` is set."""
        client = CellClient(self.prepared.notebook, kernel, self._print)
        positions = self.prepared.executed()
        total = sum(self.prepared.indices[position] is not None for position in positions)
        for position in positions:
            if stop.is_set():
                break
            started = self._begin(position, total)
            error = failure = None
            try:
                await client.run(position)
            except CellError as raised:
                error = raised.name
                failure = self._failure(position, raised.name, raised.value, raised.traceback)
            except KernelError as raised:
                error = raised.type
                failure = self._failure(position, raised.type, raised.message)
                self.prepared.notebook.cells[position].outputs.append(
                    new_output("error", ename="KernelError", evalue=raised.message, traceback=[raised.message])  # type: ignore[no-untyped-call]
                )
            self._end(position, started, error)
            if failure:
                return failure
        return None

    def _begin(self, position: int, total: int) -> int:
        now = time.time_ns()
        index = self.prepared.indices[position]
        if index is not None:
            self._emit(
                CellStarted(
                    task=self._task,
                    attempt=self._attempt,
                    time=now,
                    index=index,
                    position=len(self.runs) + 1,
                    total=total,
                    first_line=self._first_line(position),
                )
            )
        return now

    def _end(self, position: int, started: int, error: str | None) -> None:
        now = time.time_ns()
        index = self.prepared.indices[position]
        if index is not None:
            first_line = self._first_line(position)
            self.runs.append(CellRun(index=index, first_line=first_line, started=started, ended=now, error=error))
            self._emit(CellEnded(task=self._task, attempt=self._attempt, time=now, index=index, error=error))

    def _print(self, stream: str, text: str, position: int) -> None:
        for start in range(0, len(text), _PIECE):
            self._emit(
                Printed(
                    task=self._task,
                    attempt=self._attempt,
                    time=time.time_ns(),
                    stream=stream,
                    text=text[start : start + _PIECE],
                    cell=self.prepared.indices[position],
                )
            )

    def _failure(self, position: int, type: str, message: str, traceback: str = "") -> Failure:  # noqa: A002
        cell = self.prepared.notebook.cells[position]
        line = re.search(rf"Cell In\[{cell.execution_count}\], line (\d+)", _ANSI.sub("", traceback))
        return Failure(
            type=type,
            message=message,
            traceback=traceback,
            cell=self.prepared.indices[position],
            cell_source=cell.source,
            line=int(line[1]) if line else None,
        )

    def _first_line(self, position: int) -> str:
        source: str = self.prepared.notebook.cells[position].source
        return source.strip().splitlines()[0]
