"""The cells of one notebook while they are executed, and what is said of them meanwhile."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

from nbformat import from_dict
from nbformat.v4 import new_output

from nbmake_dag.execute.cell_client import CellClient, CellError
from nbmake_dag.execute.kept_state import KeptCell, KeptState
from nbmake_dag.execute.kernels import Kernel, KernelError
from nbmake_dag.execute.notebook_source import Prepared
from nbmake_dag.execute.protocol import AttemptSpec, CellEnded, CellRun, CellStarted, Event, Failure, Printed

_PIECE = 1 << 14
"""Characters of one event: at most 64 KiB."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookCells:
    """Executes the cells in their order; of an injected cell nothing is said.

    With a ``kept`` state the first cells are taken to be executed, and have the outputs that they left.
    """

    def __init__(
        self,
        spec: AttemptSpec,
        prepared: Prepared,
        counted: frozenset[int],
        kernel: Kernel,
        emit: Callable[[Event], None],
        kept: KeptState | None = None,
    ) -> None:
        self.prepared = prepared
        self.runs: list[CellRun] = []
        self.elapsed_s = kept.elapsed_s if kept else 0.0
        """What the cells so far took, those of a kept state included."""
        self._task = spec.task
        self._attempt = spec.attempt
        self._emit = emit
        self._client = CellClient(prepared.notebook, kernel, self._print)
        self._positions = prepared.executed()
        self._counting = [
            position
            for position in self._positions
            if (index := prepared.indices[position]) is None or index in counted
        ]
        self._begun = 0
        if kept:
            self._take_over(kept)
        self._skipped = self._said(self._positions[: self._begun])

    async def run(
        self, stop: asyncio.Event, after_cell: Callable[[], Awaitable[None]] | None = None
    ) -> Failure | None:
        """Execute cells until one fails, or ``stop`` is set."""
        total = self._said(self._positions)
        for position in self._positions[self._begun :]:
            if stop.is_set():
                break
            self._begun += 1
            began, started = time.monotonic(), self._begin(position, total)
            error = failure = None
            try:
                await self._client.run(position)
            except CellError as raised:
                error = raised.name
                failure = self._failure(position, raised.name, raised.value, raised.traceback)
            except KernelError as raised:
                error = raised.type
                failure = self._failure(position, raised.type, raised.message)
                self.prepared.notebook.cells[position].outputs.append(
                    new_output("error", ename="KernelError", evalue=raised.message, traceback=[raised.message])  # type: ignore[no-untyped-call]
                )
            self.elapsed_s += time.monotonic() - began
            self._end(position, started, error)
            if failure:
                return failure
            if after_cell:
                await after_cell()
        return None

    @property
    def executed(self) -> int:
        return self._client.code_cells_executed

    def kept(self) -> tuple[KeptCell, ...]:
        """Return what the cells that count have left so far."""
        begun = set(self._positions[: self._begun])
        return tuple(self._kept(position) for position in self._counting if position in begun)

    def _kept(self, position: int) -> KeptCell:
        cell = self.prepared.notebook.cells[position]
        displays = self._client._display_id_map.items()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return KeptCell(
            outputs=cell.outputs,
            execution_count=cell.execution_count,
            displays={name: places[position] for name, places in displays if position in places},
        )

    def _take_over(self, kept: KeptState) -> None:
        for position, left in zip(self._counting, kept.cells, strict=False):
            cell = self.prepared.notebook.cells[position]
            cell.outputs = from_dict(left.outputs)  # type: ignore[no-untyped-call]
            cell.execution_count = left.execution_count
            for name, places in left.displays.items():
                self._client._display_id_map.setdefault(name, {})[position] = places  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._client.code_cells_executed = kept.executed
        if kept.cells:
            self._begun = self._positions.index(self._counting[len(kept.cells) - 1]) + 1

    def _said(self, positions: list[int]) -> int:
        """Count the cells that are not injected."""
        return sum(self.prepared.indices[position] is not None for position in positions)

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
                    position=self._skipped + len(self.runs) + 1,
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
