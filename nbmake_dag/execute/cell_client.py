"""Executes the cells of a notebook in a kernel: nbclient, without its polling, with limits on what it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from nbmake_dag.execute.cell_outputs import OutputLimits, StreamJoiner
from nbmake_dag.execute.kernels import Kernel, KernelError

IOPUB_TIMEOUT = 60
"""Seconds after the reply of a cell in which its last output must arrive."""
_LAST_WORDS = 0.2
"""Seconds to read what a kernel said before it died."""


class CellError(Exception):
    """A cell that raised. ``name`` is the exception's class; the traceback may hold ANSI colours."""

    def __init__(self, name: str, value: str, traceback: str) -> None:
        super().__init__(name, value, traceback)
        self.name = name
        self.value = value
        self.traceback = traceback


class CellClient(NotebookClient):
    """Runs one cell after the other; ``printed`` hears what they write, as it comes."""

    def __init__(self, notebook: NotebookNode, kernel: Kernel, printed: Callable[[str, str, int], None]) -> None:
        super().__init__(
            notebook,
            km=kernel.manager,
            timeout=None,
            iopub_timeout=IOPUB_TIMEOUT,
            raise_on_iopub_timeout=True,
            record_timing=False,
            store_widget_state=False,
        )
        self.kc = kernel.client
        self._kernel = kernel
        self._printed = printed
        self._limits = OutputLimits()
        self._joiner = StreamJoiner()

    async def run(self, index: int) -> None:
        """Execute one cell; raises `CellError` or `KernelError`."""
        cell = self.nb.cells[index]
        self._limits.begin_cell()
        try:
            await self.async_execute_cell(cell, index, execution_count=self.code_cells_executed + 1)
        except DeadKernelError:
            raise KernelError(self._kernel.how_it_ended()) from None
        except CellTimeoutError as error:
            raise KernelError(str(error), "timeout") from None
        finally:
            self._joiner.join()

    async def _async_poll_kernel_alive(self) -> None:
        await asyncio.wait({self._kernel.ended})
        await asyncio.sleep(_LAST_WORDS)
        if self.task_poll_for_reply:
            self.task_poll_for_reply.cancel()

    async def _check_raise_for_error(
        self,
        cell: NotebookNode,
        cell_index: int,  # noqa: ARG002  # nbclient's signature
        exec_reply: dict[str, Any] | None,
    ) -> None:
        if "raises-exception" in cell.metadata.get("tags", ()):
            return
        errors = [output for output in cell.outputs if output["output_type"] == "error"]
        if exec_reply and exec_reply["content"]["status"] == "error":
            errors.append(exec_reply["content"])
        if errors:
            error = errors[-1]
            traceback = "\n".join(error.get("traceback", ()))
            raise CellError(error.get("ename", "Error"), error.get("evalue", ""), traceback)

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        content = msg["content"]
        if self.output_hook_stack[msg["parent_header"].get("msg_id")]:
            return super().output(outs, msg, display_id, cell_index)
        if msg["msg_type"] == "stream":
            name, text = content["name"], self._limits.stream(content["text"])
        else:
            instead = self._limits.rich(content)
            if instead is None:
                return super().output(outs, msg, display_id, cell_index)
            name, text = "stderr", instead
        if self.clear_before_next_output:
            self.clear_output(outs, {**msg, "content": {"wait": False}}, cell_index)
            self.clear_before_next_output = False
        if text:
            self._joiner.add(outs, name, text)
            self._printed(name, text, cell_index)
        return None

    def _update_display_id(self, display_id: str, msg: dict[str, Any]) -> None:
        if self._limits.update(msg["content"]):
            super()._update_display_id(display_id, msg)
