"""Takes snapshots of a notebook while its cells are executed, where that would save time later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from nbmake_dag.execute.fold import fold_accesses, fold_log
from nbmake_dag.execute.kept_state import (
    SOCKET,
    KeptState,
    OutputsSoFar,
    UnkeepableError,
    remove_snapshot,
    write_state,
)
from nbmake_dag.execute.kernels import Kernel, KernelError
from nbmake_dag.execute.notebook_cells import NotebookCells
from nbmake_dag.execute.protocol import AttemptSpec, Event, Snapshotted, Unresumable
from nbmake_dag.execute.zygote_client import Snapshot, ZygoteError
from nbmake_dag_cache.blobs import BlobStore

_SHARE = 10
"""A snapshot has to save this many times what the one before it took."""
_BEGIN = "import nbmake_dag.execute.snapshot as _snapshot; _snapshot.begin(); del _snapshot"
_TAKE = "import nbmake_dag.execute.snapshot as _snapshot; _snapshot.take({path!r}); del _snapshot"


class Snapshotting:
    """The snapshots of one attempt. What keeps one from being taken is told as an event."""

    def __init__(
        self, spec: AttemptSpec, kernel: Kernel, cells: NotebookCells, emit: Callable[[Event], None]
    ) -> None:
        self._spec = spec
        self._kernel = kernel
        self._cells = cells
        self._emit = emit
        self._outputs = OutputsSoFar(spec)
        self._least = spec.snapshot_after or 0.0
        self._last = cells.elapsed_s

    async def begin(self) -> bool:
        """Prepare the kernel; return whether it is one of which snapshots can be taken."""
        if not self._kernel.is_forked:
            self._refuse("its kernel is not a Python kernel that starts warm")
            return False
        await self._kernel.run(_BEGIN)
        return True

    async def after_cell(self) -> None:
        """Take a snapshot if enough has happened since the last one."""
        if self._cells.elapsed_s - self._last < self._least:
            return
        began = time.monotonic()
        folder = os.path.join(self._spec.runtime, f"s{os.urandom(4).hex()}")
        os.mkdir(folder, 0o700)
        try:
            self._emit(await self._take(folder))
        except (UnkeepableError, KernelError, ZygoteError, OSError) as error:
            remove_snapshot(folder)
            self._refuse(str(error))
        self._last = self._cells.elapsed_s
        if self._spec.snapshot_after:
            self._least = max(self._spec.snapshot_after, _SHARE * (time.monotonic() - began))

    async def _take(self, folder: str) -> Snapshotted:
        path = os.path.join(folder, SOCKET)
        await self._kernel.run(_TAKE.format(path=path))
        answer = await Snapshot(path=path).answered()
        if "refused" in answer:
            raise UnkeepableError(answer["refused"])
        spec, env = self._spec, self._spec.env
        kept = KeptState(
            cells=self._cells.kept(),
            executed=self._cells.executed,
            elapsed_s=self._cells.elapsed_s,
            outputs=self._outputs.collect(),
        )
        write_state(folder, spec, kept)
        folded = fold_log(env["NBDAG_LOG"], env["NBDAG_ARTIFACTS"], BlobStore(spec.blobs))
        return Snapshotted(
            task=spec.task,
            attempt=spec.attempt,
            time=time.time_ns(),
            folder=folder,
            pid=answer["pid"],
            cells=len(kept.cells),
            elapsed_s=kept.elapsed_s,
            modules=folded.modules,
            reads=folded.reads,
            opened=tuple(access.path for access in fold_accesses(env["NBDAG_ACCESS"], spec.root, ())),
        )

    def _refuse(self, reason: str) -> None:
        self._emit(
            Unresumable(
                task=self._spec.task,
                attempt=self._spec.attempt,
                time=time.time_ns(),
                cell=self._cells.runs[-1].index if self._cells.runs else None,
                reason=reason,
            )
        )
