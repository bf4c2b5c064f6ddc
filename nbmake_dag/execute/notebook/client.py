"""Executes the cells of a notebook in a kernel: nbclient, without its polling, with limits on what it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from nbmake_dag.execute.notebook.kernel import Kernel, KernelError
from nbmake_dag.execute.notebook.outputs import OutputLimits, StreamJoiner, well_formed

IOPUB_TIMEOUT = 60
"""Seconds after the reply of a cell in which its last output must arrive."""
REPLY_TIMEOUT = 20.0
"""Seconds after a kernel is done with a cell in which its reply must arrive, which it sends before."""
_SUCCESS = frozenset({"", "0", "None", "False"})
"""The exit codes of a success, as IPython spells them."""
_NOT_RAISED = "NoneType"
"""The class in the reply of ipykernel where a display failed: IPython shows that exception, and raises none."""
_NO_REPLY = "the kernel could not run the cell, and did not say why: it may be too deeply nested to be compiled"
_LAST_WORDS = 0.2
"""Seconds to read the last output of a kernel that died."""


class CellError(Exception):
    """A cell that raised. ``name`` is the exception's class; the traceback may hold ANSI colours."""

    def __init__(self, name: str, value: str, traceback: str) -> None:
        super().__init__(name, value, traceback)
        self.name = name
        self.value = value
        self.traceback = traceback


class NotebookExit(Exception):  # noqa: N818 - it is no error
    """A cell that ends its notebook successfully: by `sys.exit()`, `sys.exit(0)`, `exit()` or `quit()`."""


class CellClient(NotebookClient):
    """Runs one cell after the other; ``printed`` is called with their output as it arrives."""

    def __init__(
        self,
        notebook: NotebookNode,
        kernel: Kernel,
        printed: Callable[[str, str, int], None],
        *,
        allow_errors: bool = False,
    ) -> None:
        super().__init__(
            notebook,
            km=kernel.manager,
            timeout=None,
            allow_errors=allow_errors,
            iopub_timeout=IOPUB_TIMEOUT,
            raise_on_iopub_timeout=True,
            record_timing=False,
            store_widget_state=True,
        )
        self.kc = kernel.client
        self._kernel = kernel
        self._printed = printed
        self._limits = OutputLimits()
        self._joiner = StreamJoiner()
        self._allowed: str | None = None
        self._is_unanswered = False

    async def run(self, index: int) -> str | None:
        """Execute one cell; raises `CellError`, `KernelError` or `NotebookExit`.

        Returns the class of an exception that it was allowed to raise, if it raised one.
        """
        cell = self.nb.cells[index]
        self._allowed = None
        self._limits.begin_cell()
        try:
            await self.async_execute_cell(cell, index, execution_count=self.code_cells_executed + 1)
        except DeadKernelError:
            why = _NO_REPLY if self._is_unanswered else self._kernel.how_it_ended()
            raise KernelError(why) from None
        except CellTimeoutError as error:
            raise KernelError(str(error), "timeout") from None
        finally:
            self._joiner.join()
        return self._allowed

    async def _async_poll_kernel_alive(self) -> None:
        await asyncio.wait({self._kernel.ended})
        await asyncio.sleep(_LAST_WORDS)
        if self.task_poll_for_reply:
            self.task_poll_for_reply.cancel()

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: NotebookNode, cell_index: int) -> None:
        await super()._async_poll_output_msg(parent_msg_id, cell, cell_index)
        asyncio.get_running_loop().call_later(REPLY_TIMEOUT, self._miss, self.task_poll_for_reply)

    def _miss(self, reply: asyncio.Future[Any] | None) -> None:
        """Give up a cell of which the kernel is done without a reply."""
        if reply and not reply.done():
            self._is_unanswered = True
            reply.cancel()

    async def _check_raise_for_error(
        self,
        cell: NotebookNode,
        cell_index: int,  # noqa: ARG002  # nbclient's signature
        exec_reply: dict[str, Any] | None,
    ) -> None:
        asked = _exit_code(exec_reply)
        if asked in _SUCCESS:
            raise NotebookExit
        if asked is not None:
            raise CellError("SystemExit", asked, "")
        errors = [output for output in cell.outputs if output["output_type"] == "error"]
        expected = "raises-exception" in cell.metadata.get("tags", ())
        exits = errors and errors[-1]["ename"] == "SystemExit" and errors[-1]["evalue"] in _SUCCESS
        if exits and not expected:
            raise NotebookExit
        if exec_reply and exec_reply["content"]["status"] == "error":
            reply = exec_reply["content"]
            errors += [] if errors and reply.get("ename") == _NOT_RAISED else [reply]
        if errors:
            error = errors[-1]
            name = error.get("ename") or "Error"
            if expected or self.allow_errors:
                self._allowed = name
                return
            raise CellError(name, error.get("evalue", ""), "\n".join(error.get("traceback", ())))

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        well = {**msg, "content": well_formed(msg["msg_type"], msg["content"])}
        return super().process_message(well, cell, cell_index)

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


def _exit_code(reply: dict[str, Any] | None) -> str | None:
    """Return the argument of `exit` or `quit`, ``None`` where a cell called neither.

    In ipykernel it means whether the kernel stays alive, and it is passed on in the reply.
    """
    payload = reply["content"].get("payload", ()) if reply else ()
    return next((str(item.get("keepkernel") or 0) for item in payload if item.get("source") == "ask_exit"), None)
