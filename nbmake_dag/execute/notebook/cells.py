"""The cells of one notebook while they are executed, and the events reported meanwhile."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nbformat import NotebookNode, from_dict
from nbformat.v4 import new_output

from nbmake_dag.execute.notebook.client import CellClient, CellError, NotebookExit
from nbmake_dag.execute.notebook.kernel import Kernel, KernelError
from nbmake_dag.execute.notebook.saved_state import SavedCell, SavedState
from nbmake_dag.execute.notebook.source import PreparedNotebook
from nbmake_dag.execute.protocol import AttemptSpec, CellEnded, CellRun, CellStarted, Event, Failure, Printed
from nbmake_dag_reporting.cell_ref import CellRef

_PIECE = 1 << 14
"""Characters of one event: at most 64 KiB."""
_HOW_TO_EXIT = "To exit: use 'exit', 'quit', or Ctrl-D."
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookCells:
    """Executes the cells in their order; injected cells are not reported.

    With a ``saved`` state the first cells count as executed, with their saved outputs.
    """

    def __init__(
        self,
        spec: AttemptSpec,
        prepared: PreparedNotebook,
        counted: frozenset[int],
        kernel: Kernel,
        emit: Callable[[Event], None],
        saved: SavedState | None = None,
        *,
        allow_errors: bool = False,
    ) -> None:
        self.prepared = prepared
        self.runs: list[CellRun] = []
        self.elapsed_s = saved.elapsed_s if saved else 0.0
        """What the cells so far took, those of a kept state included."""
        self._task = spec.task
        self._attempt = spec.attempt
        self._emit = emit
        self._kernel = kernel
        self._client = CellClient(prepared.notebook, kernel, self._print, allow_errors=allow_errors)
        self._positions = prepared.executed()
        self._counting = [
            position
            for position in self._positions
            if (index := prepared.indices[position]) is None or index in counted
        ]
        self._begun = 0
        if saved:
            self._take_over(saved)
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
            exits, error, allowed, failure = False, None, None, None
            try:
                allowed = await self._client.run(position)
            except NotebookExit:
                exits = True
                self._note_exit(position)
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
            self._end(position, started, error, allowed)
            if failure or exits:
                return failure
            if after_cell:
                await after_cell()
        return None

    def stopped(self, message: str) -> Failure:
        """Describe a stop at the last cell that began, for kernels that say nothing of an interrupt."""
        begun = [position for position in self._positions[: self._begun] if self._ref(position)]
        if not begun:
            return Failure(type="timeout", message=message)
        return self._failure(begun[-1], "timeout", message)

    @property
    def executed(self) -> int:
        return self._client.code_cells_executed

    @property
    def widgets(self) -> Mapping[str, Mapping[str, Any]]:
        """What the models of widgets have, as far as the kernel told."""
        return self._client.widget_state

    def saved(self) -> tuple[SavedCell, ...]:
        """Return what the cells that count have left so far."""
        begun = set(self._positions[: self._begun])
        return tuple(self._saved(position) for position in self._counting if position in begun)

    def _saved(self, position: int) -> SavedCell:
        cell = self.prepared.notebook.cells[position]
        displays = self._client._display_id_map.items()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return SavedCell(
            outputs=cell.outputs,
            execution_count=cell.execution_count,
            displays={name: places[position] for name, places in displays if position in places},
        )

    def _take_over(self, saved: SavedState) -> None:
        for position, left in zip(self._counting, saved.cells, strict=False):
            cell = self.prepared.notebook.cells[position]
            cell.outputs = from_dict(left.outputs)  # type: ignore[no-untyped-call]
            cell.execution_count = left.execution_count
            for name, places in left.displays.items():
                self._client._display_id_map.setdefault(name, {})[position] = places  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._client.code_cells_executed = saved.executed
        if saved.cells:
            self._begun = self._positions.index(self._counting[len(saved.cells) - 1]) + 1

    def _said(self, positions: list[int]) -> int:
        """Count the cells that are not injected."""
        return sum(self.prepared.indices[position] is not None for position in positions)

    def _begin(self, position: int, total: int) -> int:
        now = time.time_ns()
        cell = self._ref(position)
        if cell is not None:
            self._emit(
                CellStarted(
                    task=self._task,
                    attempt=self._attempt,
                    time=now,
                    cell=cell,
                    position=self._skipped + len(self.runs) + 1,
                    total=total,
                    first_line=self._first_line(position),
                    cell_id=self.prepared.notebook.cells[position].id,
                )
            )
        return now

    def _end(self, position: int, started: int, error: str | None, allowed: str | None) -> None:
        now = time.time_ns()
        cell = self._ref(position)
        if cell is None:
            return
        self.runs.append(
            CellRun(
                cell=cell,
                first_line=self._first_line(position),
                started=started,
                ended=now,
                error=error,
                allowed=allowed,
            )
        )
        self._emit(
            CellEnded(task=self._task, attempt=self._attempt, time=now, cell=cell, error=error, allowed=allowed)
        )

    def _print(self, stream: str, text: str, position: int) -> None:
        for start in range(0, len(text), _PIECE):
            self._emit(
                Printed(
                    task=self._task,
                    attempt=self._attempt,
                    time=time.time_ns(),
                    stream=stream,
                    text=text[start : start + _PIECE],
                    cell=self._ref(position),
                )
            )

    def _note_exit(self, position: int) -> None:
        """Replace IPython's warning by a note in the outputs of the cell that ended the notebook."""
        cell = self.prepared.notebook.cells[position]
        later = self._said(self._positions[self._positions.index(position) + 1 :])
        cell.outputs = [
            output
            for output in cell.outputs
            if output.output_type != "error" and _HOW_TO_EXIT not in output.get("text", "")
        ]
        note = f"[nbdag: the notebook ended here; {later} later cell{'' if later == 1 else 's'} did not run]\n"
        cell.outputs.append(new_output("stream", name="stderr", text=note))  # type: ignore[no-untyped-call]
        self._print("stderr", note, position)

    def _failure(self, position: int, type: str, message: str, traceback: str = "") -> Failure:  # noqa: A002
        cell = self.prepared.notebook.cells[position]
        line = re.search(rf"Cell In\[{cell.execution_count}\], line (\d+)", _ANSI.sub("", traceback))
        return Failure(
            type=type,
            message=message,
            traceback=self._told(traceback, cell.outputs),
            cell=self._ref(position),
            cell_source=cell.source,
            line=int(line[1]) if line else None,
        )

    def _told(self, traceback: str, outputs: list[NotebookNode]) -> str:
        """Return what there is to read about a failure: kernels of other languages say much of it on stderr."""
        if not traceback:
            return _printed(outputs)
        if self._kernel.language == "python":
            return traceback
        warned = _printed([output for output in outputs if output.get("name") == "stderr"])
        return f"{warned.rstrip()}\n{traceback}" if warned.strip() else traceback

    def _ref(self, position: int) -> CellRef | None:
        """Return the cell of the source; ``None`` for an injected one."""
        index = self.prepared.indices[position]
        return None if index is None else CellRef(index)

    def _first_line(self, position: int) -> str:
        source: str = self.prepared.notebook.cells[position].source
        return source.strip().splitlines()[0]


def _printed(outputs: list[NotebookNode]) -> str:
    """Return the text that a cell printed, which is all that some kernels report of a failure."""
    return "".join(output.text for output in outputs if output.output_type == "stream")
