"""Run one notebook: a kernel of its own, its cells, an end in time, and what all that left."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
from nbformat.v4 import writes

import nbmake_dag
from nbmake_dag.execute.cancellation import Cancellation
from nbmake_dag.execute.kept_state import SOCKET, KeptState, put_back, take_away
from nbmake_dag.execute.kernels import EXIT_TIMEOUT, Kernel, KernelError
from nbmake_dag.execute.memory import tree_rss
from nbmake_dag.execute.notebook_cells import NotebookCells
from nbmake_dag.execute.notebook_source import ParameterError, Prepared, prepare, values_to_inject
from nbmake_dag.execute.protocol import AttemptSpec, CellRun, Event, Failure, NotebookWork, Unresumable
from nbmake_dag.execute.provisioner import KernelStart
from nbmake_dag.execute.snapshotting import Snapshotting
from nbmake_dag.execute.zygote_client import Exit, ZygoteError
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook

TIMEOUT_GRACE = 3.0
"""Seconds between the interrupt of a notebook that took too long and the kill."""
STOPPED_EXIT_TIMEOUT = 2.0
"""Seconds for the exit handlers of a kernel that was interrupted."""
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


def _folder_to_import_from(runtime: str) -> str:
    """Make a folder that holds nbdag and nothing else, for kernels of environments that do not have it."""
    folder = os.path.join(runtime, "path")
    os.makedirs(folder, exist_ok=True)
    with suppress(FileExistsError):
        os.symlink(os.path.dirname(nbmake_dag.__file__), os.path.join(folder, "nbmake_dag"))
    return folder


class NotebookRun(msgspec.Struct, frozen=True, kw_only=True):
    """What running a notebook left: the part of an `AttemptResult` that only this module knows."""

    outcome: str
    started: int
    ended: int
    ready: int | None = None
    failure: Failure | None = None
    cells: tuple[CellRun, ...] = ()
    notebook: bytes | None = None
    """The executed notebook as it stands, as an ``.ipynb`` file; ``None`` where the source could not be read."""
    cell_outputs: bytes = b"[]"
    """JSON: ``{"outputs": [...], "execution_count": n}`` for every cell that counts."""
    cpu_s: float | None = None
    peak_rss: int | None = None
    exit_code: int | None = None
    pid: int | None = None
    resumed: bool = False


def run_notebook(spec: AttemptSpec, emit: Callable[[Event], None], cancellation: Cancellation) -> NotebookRun:
    """Run the notebook of an attempt, whatever it does; nothing of its process group is left."""
    if not isinstance(spec.work, NotebookWork):
        raise TypeError(f"{spec.task} is no notebook")
    return asyncio.run(_Attempt(spec, spec.work, emit, cancellation).run())


class _Attempt:
    """A notebook on its way: what is known of it so far."""

    def __init__(
        self, spec: AttemptSpec, work: NotebookWork, emit: Callable[[Event], None], cancellation: Cancellation
    ) -> None:
        self._spec = spec
        self._work = work
        self._emit = emit
        self._cancellation = cancellation
        self._stop = asyncio.Event()
        self._stopped: str | None = None
        self._cells: NotebookCells | None = None
        self._ready: int | None = None
        self._peak_rss = 0
        self._kept: KeptState | None = None

    async def run(self) -> NotebookRun:
        started = time.time_ns()
        self._cancellation.on_request(self._cancel_from(asyncio.get_running_loop()))
        kernel, end, failure, outcome = None, None, None, "succeeded"
        try:
            kernel = await self._begin()
            if kernel:
                failure = await self._run_in(kernel)
                outcome = "failed" if failure else "succeeded"
        except ZygoteError as error:
            outcome, failure = "lost", Failure(type="_OTHER", message=f"no process can be started: {error}")
        except KernelError as error:
            outcome, failure = "failed", Failure(type=error.type, message=error.message)
        except (ParameterError, UnreadableNotebookError, OSError) as error:
            outcome, failure = "failed", Failure(type=type(error).__name__, message=str(error))
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
        """Go on from a snapshot, if there is one; ``None`` if there is none any more."""
        kernel, spec = None, self._spec
        if spec.resume is None:
            return None
        try:
            self._kept = put_back(spec.resume.folder, spec)
            kernel = await self._launch(os.path.join(spec.resume.folder, SOCKET))
            await kernel.wait_ready()
        except asyncio.CancelledError:
            if kernel:
                await kernel.close()
            raise
        except (OSError, BlobError, ZygoteError, KernelError) as error:
            if kernel:
                await kernel.close()
            self._kept = None
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
        )
        folder = os.path.dirname(os.path.join(spec.root, work.path))
        env = {**spec.env, "NBDAG_SOURCE_DIR": folder}
        return await Kernel.launch(work.kernel, start, env=env, cwd=os.path.join(spec.root, spec.workdir))

    async def _run_in(self, kernel: Kernel) -> Failure | None:
        """Run everything, and see that it stops when it must; a kernel that could end well has ended."""
        running = asyncio.ensure_future(self._execute(kernel))
        stop = asyncio.ensure_future(self._stop.wait())
        memory = asyncio.ensure_future(self._watch_memory(kernel))
        try:
            await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                self._stopped = "cancelled" if self._cancellation.requested else "timeout"
                await kernel.interrupt()
                grace = self._cancellation.grace if self._cancellation.requested else TIMEOUT_GRACE
                await asyncio.wait({running}, timeout=grace)
            if not running.done():
                await kernel.kill()
            failure = await running
        finally:
            for task in (running, stop, memory):
                task.cancel()
        unclean = await kernel.shut_down(STOPPED_EXIT_TIMEOUT if self._stopped else EXIT_TIMEOUT)
        return failure or (Failure(type="exit", message=unclean) if unclean else None)

    async def _execute(self, kernel: Kernel) -> Failure | None:
        prepared = self._prepare(kernel)
        self._cells = NotebookCells(self._spec, prepared, self._work.counted, kernel, self._emit, self._kept)
        if self._kept is None:
            await kernel.wait_ready()
        prepared.notebook.metadata["language_info"] = kernel.info["language_info"]
        if self._kept is None and kernel.language == "python" and "NBDAG_ACCESS" in self._spec.env:
            await kernel.run(_START_UP.format(path=_folder_to_import_from(self._spec.runtime)))
        after_cell = await self._prepare_snapshots(kernel, self._cells)
        self._ready = time.time_ns()
        if self._spec.timeout is not None:
            asyncio.get_running_loop().call_later(self._spec.timeout, self._stop.set)
        return await self._cells.run(self._stop, after_cell)

    async def _prepare_snapshots(
        self, kernel: Kernel, cells: NotebookCells
    ) -> Callable[[], Awaitable[None]] | None:
        """Return what is to be done after each cell."""
        if self._spec.snapshot_after is None:
            return None
        snapshotting = Snapshotting(self._spec, kernel, cells, self._emit)
        return snapshotting.after_cell if await snapshotting.begin() else None

    def _prepare(self, kernel: Kernel) -> Prepared:
        with open(os.path.join(self._spec.root, self._work.path), "rb") as file:
            source = read_notebook(file.read(), self._work.path)
        values = values_to_inject(self._spec, self._work)
        return prepare(source, self._work.kernel, kernel.language, values)

    def _why_stopped(self, failure: Failure | None) -> Failure | None:
        """Say that it was the deadline, and where; a cancelled attempt needs no reason."""
        if self._stopped != "timeout":
            return None
        message = f"took longer than {self._spec.timeout:g} s"
        return msgspec.structs.replace(failure or Failure(type="", message=""), type="timeout", message=message)

    async def _watch_memory(self, kernel: Kernel) -> None:
        while True:
            await asyncio.sleep(MEMORY_PERIOD)
            self._peak_rss = max(self._peak_rss, tree_rss(kernel.pid))

    def _cancel_from(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        def cancel() -> None:
            with suppress(RuntimeError):  # the notebook has ended, and its loop with it
                loop.call_soon_threadsafe(self._stop.set)

        return cancel

    def _result(
        self, started: int, outcome: str, failure: Failure | None, kernel: Kernel | None, end: Exit | None
    ) -> NotebookRun:
        cells = self._cells
        return NotebookRun(
            outcome=outcome,
            started=started,
            ended=time.time_ns(),
            ready=self._ready,
            failure=failure,
            cells=tuple(cells.runs) if cells else (),
            notebook=writes(cells.prepared.notebook).encode() if cells else None,  # type: ignore[no-untyped-call]
            cell_outputs=msgspec.json.encode(cells.prepared.outputs(self._work.counted) if cells else []),
            cpu_s=end.cpu_s if end else None,
            peak_rss=max(self._peak_rss, end.peak_rss) if end else None,
            exit_code=end.exit_code if end else None,
            pid=kernel.pid if kernel else None,
            resumed=self._kept is not None,
        )
