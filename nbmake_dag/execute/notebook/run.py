"""Run one notebook: a kernel of its own, its cells, a time limit, and the results."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

import msgspec
from nbformat.v4 import writes

from nbmake_dag.errors import is_short_of_something
from nbmake_dag.execute.notebook.cells import NotebookCells
from nbmake_dag.execute.notebook.hints import hint_of
from nbmake_dag.execute.notebook.kernel import Kernel, KernelError
from nbmake_dag.execute.notebook.provisioner import KernelStart
from nbmake_dag.execute.notebook.saved_state import SOCKET, SavedState, put_back, take_away
from nbmake_dag.execute.notebook.silence import end_if_stuck
from nbmake_dag.execute.notebook.snapshotting import Snapshotting
from nbmake_dag.execute.notebook.source import ParameterError, PreparedNotebook, prepare_notebook, values_to_inject
from nbmake_dag.execute.notebook.widgets import add_static_widgets
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.process_tree import tree_rss
from nbmake_dag.execute.processes.runtime_dir import folder_to_import_from
from nbmake_dag.execute.processes.zygote_client import Exit, ZygoteError
from nbmake_dag.execute.protocol import AttemptSpec, CellRun, Event, Failure, NotebookWork, Printed, Unresumable
from nbmake_dag.execute.redaction import NO_SECRETS, Redactor
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_reporting.figures import kinds_in
from nbmake_dag_reporting.vocabulary import AttemptOutcome

TIMEOUT_GRACE = 3.0
"""Seconds between the interrupt of a notebook that took too long and the kill."""
STOPPED_EXIT_TIMEOUT = 3.0
"""Seconds for a kernel that was interrupted to finalize."""
STOPPED_TIMEOUT = 4.5
"""Seconds from the interrupt until the kernel is killed, however they are shared by its cell and its end."""
MEMORY_PERIOD = 1.0
"""Seconds between samples of the memory of all processes of a kernel."""

_START_UP = """\
def _start(path):
    import sys
    try:
        import nbmake_dag.inside.start as start
    except ImportError:
        sys.path.append(path)
        import nbmake_dag.inside.start as start
    start.start()
_start({path!r})
del _start
"""

_KEEP_SCRIPTS = """\
def _keep():
    from nbmake_dag.inside.figure_scripts import keep
    keep({kinds!r})
_keep()
del _keep
"""


class NotebookRun(msgspec.Struct, frozen=True, kw_only=True):
    """What running a notebook left: the part of an `AttemptResult` that only this module knows."""

    outcome: AttemptOutcome
    started: int
    ended: int
    ready: int | None = None
    failure: Failure | None = None
    cells: tuple[CellRun, ...] = ()
    notebook: bytes | None = None
    """The executed notebook so far, as an ``.ipynb`` file; ``None`` where the source could not be read."""
    cell_outputs: bytes = b"[]"
    """JSON: ``{"outputs": [...], "execution_count": n}`` for every cell that counts."""
    injected: str | None = None
    """The code of the injected cell, if there is one."""
    cpu_s: float | None = None
    peak_rss: int | None = None
    exit_code: int | None = None
    pid: int | None = None
    resumed: bool = False
    mistaken: str = ""
    """How the kernel differs from the one in the key."""


def run_notebook(
    spec: AttemptSpec,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    redactor: Redactor = NO_SECRETS,
) -> NotebookRun:
    """Run the notebook of an attempt; in any case nothing of its process group is left."""
    if not isinstance(spec.work, NotebookWork):
        raise TypeError(f"{spec.task} is not a notebook")
    return asyncio.run(_Attempt(spec, spec.work, emit, cancellation, redactor).run())


class _Attempt:
    """A notebook on its way: what is known of it so far."""

    def __init__(
        self,
        spec: AttemptSpec,
        work: NotebookWork,
        emit: Callable[[Event], None],
        cancellation: Cancellation,
        redactor: Redactor,
    ) -> None:
        self._redactor = redactor
        self._spec = spec
        self._work = work
        self._emit = emit
        self._cancellation = cancellation
        self._stop = asyncio.Event()
        self._stopped: Literal["cancelled", "timeout"] | None = None
        self._cells: NotebookCells | None = None
        self._ready: int | None = None
        self._peak_rss = 0
        self._saved: SavedState | None = None
        self._mistaken = ""

    async def run(self) -> NotebookRun:
        started = time.time_ns()
        self._cancellation.on_request(self._cancel_from(asyncio.get_running_loop()))
        outcome: AttemptOutcome = "succeeded"
        kernel, end, failure = None, None, None
        try:
            kernel = await self._begin()
            if kernel:
                failure = self._with_hint(await self._run_in(kernel), kernel)
                outcome = "failed" if failure else "succeeded"
        except ZygoteError as error:
            outcome, failure = "lost", Failure(type="_OTHER", message=f"no process can be started: {error}")
        except KernelError as error:
            outcome, failure = "failed", Failure(type=error.type, message=error.message)
        except (ParameterError, UnreadableNotebookError, OSError) as error:
            outcome = "lost" if isinstance(error, OSError) and is_short_of_something(error) else "failed"
            failure = Failure(type=type(error).__name__, message=str(error))
        finally:
            if kernel:
                end = await kernel.close()
        if self._stopped:
            outcome, failure = self._stopped, self._why_stopped(failure)
        elif kernel and end is None:
            outcome = "lost"
        return self._result(started, outcome, failure, kernel, end)

    async def _begin(self) -> Kernel | None:
        """Get a kernel; ``None`` if the end was asked for before there was one."""
        starting, stop = asyncio.ensure_future(self._start()), asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                return starting.result()
            self._stopped = "cancelled"
            return None
        finally:
            starting.cancel()
            stop.cancel()

    async def _start(self) -> Kernel:
        return await self._resume() or await self._launch()

    async def _resume(self) -> Kernel | None:
        """Resume from a snapshot; ``None`` if it no longer exists."""
        kernel, spec = None, self._spec
        if spec.resume is None:
            return None
        try:
            self._saved = put_back(spec.resume.folder, spec)
            kernel = await self._launch(os.path.join(spec.resume.folder, SOCKET))
            await kernel.wait_ready()
        except asyncio.CancelledError:
            if kernel:
                await kernel.close()
            raise
        except (OSError, BlobError, ZygoteError, KernelError) as error:
            if kernel:
                await kernel.close()
            self._saved = None
            take_away(spec)
            reason = f"its snapshot cannot be used: {error}"
            now = time.time_ns()
            self._emit(Unresumable(task=spec.task, attempt=spec.attempt, time=now, cell=None, reason=reason))
            return None
        return kernel

    async def _launch(self, snapshot: str = "") -> Kernel:
        spec, work = self._spec, self._work
        start = KernelStart(
            ipython_dir=os.path.join(self._spec.scratch, "ipython"),
            runtime=spec.runtime,
            log=os.path.join(spec.scratch, "kernel.log"),
            warm=work.start == "warm",
            modules=work.preload,
            snapshot=snapshot,
            python=spec.python,
        )
        folder = os.path.dirname(os.path.join(spec.root, work.path))
        env = {**spec.env, "NBDAG_SOURCE_DIR": folder}
        return await Kernel.launch(work.kernel, start, env=env, cwd=os.path.join(spec.root, spec.workdir))

    async def _run_in(self, kernel: Kernel) -> Failure | None:
        """Run everything, and see that it stops when it must; a kernel that could end well has ended."""
        running = asyncio.ensure_future(self._execute(kernel))
        stop = asyncio.ensure_future(self._stop.wait())
        memory = asyncio.ensure_future(self._watch_memory(kernel))
        stuck = asyncio.ensure_future(end_if_stuck(kernel, self._report))
        try:
            await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
            interrupted = time.monotonic()
            if not running.done():
                self._stopped = "cancelled" if self._cancellation.requested else "timeout"
                await kernel.interrupt()
                grace = self._cancellation.grace if self._cancellation.requested else TIMEOUT_GRACE
                await asyncio.wait({running}, timeout=grace)
            if not running.done():
                await kernel.kill()
            failure = await running
        finally:
            for task in (running, stop, memory, stuck):
                task.cancel()
        within = self._work.shutdown_timeout
        if self._stopped:
            within = min(STOPPED_EXIT_TIMEOUT, max(0.0, interrupted + STOPPED_TIMEOUT - time.monotonic()))
        unclean = await kernel.shut_down(within)
        return failure or (Failure(type="exit", message=unclean) if unclean else None)

    async def _execute(self, kernel: Kernel) -> Failure | None:
        prepared = self._prepare(kernel)
        self._cells = NotebookCells(
            self._spec,
            prepared,
            self._work.counted,
            kernel,
            self._emit,
            self._saved,
            allow_errors=self._work.allow_errors,
        )
        if self._saved is None:
            await kernel.wait_ready()
        prepared.notebook.metadata["language_info"] = kernel.info["language_info"]
        if self._saved is None and kernel.language == "python" and "NBDAG_ACCESS" in self._spec.env:
            await kernel.run(_START_UP.format(path=folder_to_import_from(self._spec.runtime)))
        if self._saved is None and self._work.python:
            self._mistaken = await self._compare_python(kernel)
        after_cell = await self._prepare_snapshots(kernel, self._cells)
        self._ready = time.time_ns()
        if self._spec.timeout is not None:
            asyncio.get_running_loop().call_later(self._spec.timeout, self._stop.set)
        failure = await self._cells.run(self._stop, after_cell)
        add_static_widgets(prepared.notebook, self._cells.widgets)
        if kernel.language == "python" and not self._stop.is_set():
            await self._keep_scripts(kernel, prepared)
        return failure

    async def _keep_scripts(self, kernel: Kernel, prepared: PreparedNotebook) -> None:
        """Have the kernel log the scripts of the libraries that drew figures; it may have ended itself."""
        outputs = (output for cell in prepared.notebook.cells for output in cell.get("outputs", ()))
        if kinds := kinds_in(outputs):
            with suppress(KernelError):
                await kernel.run(_KEEP_SCRIPTS.format(kinds=kinds))

    async def _compare_python(self, kernel: Kernel) -> str:
        """Describe how a kernel's Python is not the one that planning found; empty if it is."""
        believed = self._work.python
        found = await kernel.python() or str(kernel.info["language_info"].get("version", ""))
        _, _, version = believed.partition(" ")
        if not found or found == believed or found.startswith(f"{version}."):
            return ""
        return f"the kernel `{self._work.kernel}` ran in {found}, and its kernelspec leads to {believed}"

    async def _prepare_snapshots(
        self, kernel: Kernel, cells: NotebookCells
    ) -> Callable[[], Awaitable[None]] | None:
        """Return what is to be done after each cell."""
        if self._spec.snapshot_after is None:
            return None
        snapshotting = Snapshotting(self._spec, kernel, cells, self._emit, self._redactor)
        return snapshotting.after_cell if await snapshotting.begin() else None

    def _prepare(self, kernel: Kernel) -> PreparedNotebook:
        with open(os.path.join(self._spec.root, self._work.path), "rb") as file:
            source = read_notebook(file.read(), self._work.path, self._work.form)
        values = values_to_inject(self._spec, self._work)
        return prepare_notebook(source, self._work.kernel, kernel.language, values)

    def _with_hint(self, failure: Failure | None, kernel: Kernel) -> Failure | None:
        if failure is None:
            return None
        program = self._work.interpreter or kernel.program
        parameters_cell = self._cells.prepared.parameters_cell if self._cells else ""
        hint = hint_of(failure, self._spec, self._work, program, parameters_cell)
        return msgspec.structs.replace(failure, hint=hint)

    def _why_stopped(self, failure: Failure | None) -> Failure | None:
        """Describe which deadline passed, and in which cell; a cancelled attempt needs no reason."""
        if self._stopped != "timeout":
            return None
        message = f"took longer than {self._spec.timeout:g} s"
        if failure is None and self._cells:
            return self._cells.stopped(message)
        return msgspec.structs.replace(failure or Failure(type="", message=""), type="timeout", message=message)

    async def _watch_memory(self, kernel: Kernel) -> None:
        while True:
            await asyncio.sleep(MEMORY_PERIOD)
            self._peak_rss = max(self._peak_rss, tree_rss(kernel.pid))

    def _report(self, text: str) -> None:
        spec, now = self._spec, time.time_ns()
        self._emit(Printed(task=spec.task, attempt=spec.attempt, time=now, stream="stderr", text=text))

    def _cancel_from(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        def cancel() -> None:
            with suppress(RuntimeError):  # the notebook has ended, and its loop with it
                loop.call_soon_threadsafe(self._stop.set)

        return cancel

    def _result(
        self,
        started: int,
        outcome: AttemptOutcome,
        failure: Failure | None,
        kernel: Kernel | None,
        end: Exit | None,
    ) -> NotebookRun:
        cells, redactor = self._cells, self._redactor
        if cells and redactor:
            cells.prepared.redact(redactor)
        return NotebookRun(
            outcome=outcome,
            started=started,
            ended=time.time_ns(),
            ready=self._ready,
            failure=failure,
            cells=tuple(map(redactor.cell, cells.runs)) if cells else (),
            notebook=writes(cells.prepared.notebook).encode() if cells else None,  # type: ignore[no-untyped-call]
            cell_outputs=msgspec.json.encode(cells.prepared.outputs(self._work.counted) if cells else []),
            injected=redactor.value(cells.prepared.injected) if cells else None,
            cpu_s=end.cpu_s if end else None,
            peak_rss=max(self._peak_rss, end.peak_rss) if end else None,
            exit_code=end.exit_code if end else None,
            pid=kernel.pid if kernel else None,
            resumed=self._saved is not None,
            mistaken=self._mistaken,
        )
