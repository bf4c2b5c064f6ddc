"""Take snapshots of a notebook while its cells are executed, where that saves time later."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator

import msgspec

from nbmake_dag.core.resume import ANY
from nbmake_dag.execute.log_reader import fold_accesses, fold_log
from nbmake_dag.execute.notebook.cells import NotebookCells
from nbmake_dag.execute.notebook.kernel import Kernel, KernelError
from nbmake_dag.execute.notebook.saved_state import (
    SOCKET,
    OutputsSoFar,
    SavedState,
    UnkeepableError,
    remove_snapshot,
    write_state,
)
from nbmake_dag.execute.processes.zygote_client import Snapshot, ZygoteError
from nbmake_dag.execute.protocol import AttemptSpec, Event, Snapshotted, Unresumable
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag_cache.blobs import BlobStore

_SHARE = 10
"""A snapshot has to save this many times what the one before it took."""
_BEGIN = "import nbmake_dag.inside.snapshot as _snapshot; _snapshot.begin(); del _snapshot"
_TAKE = "import nbmake_dag.inside.snapshot as _snapshot; _snapshot.take({path!r}); del _snapshot"


class Snapshotting:
    """The snapshots of one attempt. The obstacle to taking one is reported as an event."""

    def __init__(
        self,
        spec: AttemptSpec,
        kernel: Kernel,
        cells: NotebookCells,
        emit: Callable[[Event], None],
        redactor: Redactor,
    ) -> None:
        self._redactor = redactor
        self._spec = spec
        self._kernel = kernel
        self._cells = cells
        self._emit = emit
        self._outputs = OutputsSoFar(spec, redactor)
        self._least = spec.snapshot_after or 0.0
        self._last = cells.elapsed_s

    async def begin(self) -> bool:
        """Prepare the kernel; return whether it is one of which snapshots can be taken."""
        if not self._kernel.is_forked:
            self._refuse("its kernel is not a Python kernel that starts warm")
            return False
        try:
            await self._kernel.run(_BEGIN)
        except KernelError as error:
            self._refuse(error.message)
            return False
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
        saved = SavedState(
            cells=self._cells.saved(),
            executed=self._cells.executed,
            elapsed_s=self._cells.elapsed_s,
            outputs=self._outputs.collect(),
        )
        if name := self._secret_in(saved):
            raise UnkeepableError(f"what it logged or printed holds the value of {name}")
        write_state(folder, spec, saved)
        folded = fold_log(env["NBDAG_LOG"], env["NBDAG_ARTIFACTS"], BlobStore(spec.blobs))
        return Snapshotted(
            task=spec.task,
            attempt=spec.attempt,
            time=time.time_ns(),
            folder=folder,
            pid=answer["pid"],
            cells=len(saved.cells),
            elapsed_s=saved.elapsed_s,
            modules=folded.modules,
            reads=folded.reads,
            opened=(
                *(access.path for access in fold_accesses(env["NBDAG_ACCESS"], spec.root, ())),
                *_looked_at(f"{path}.looked", spec.root),
            ),
        )

    def _secret_in(self, saved: SavedState) -> str | None:
        """Return the name of a secret in what a snapshot keeps besides outputs, which were searched."""
        if not self._redactor:
            return None
        folder = self._spec.env["NBDAG_ARTIFACTS"]
        files = [self._spec.env["NBDAG_LOG"], *(os.path.join(folder, name) for name in os.listdir(folder))]
        names = (self._redactor.name_in(file, "") for file in files if os.path.isfile(file))
        return self._redactor.name_in_data(msgspec.json.encode(saved)) or next(filter(None, names), None)

    def _refuse(self, reason: str) -> None:
        self._emit(
            Unresumable(
                task=self._spec.task,
                attempt=self._spec.attempt,
                time=time.time_ns(),
                cell=self._cells.runs[-1].cell if self._cells.runs else None,
                reason=reason,
            )
        )


def _looked_at(file: str, root: str) -> Iterator[str]:
    """Yield what a kernel inspected or listed, relative to ``root``; listed folders end with a slash."""
    if not os.path.exists(file):
        return
    with open(file, encoding="utf-8", errors="surrogateescape") as stream:
        for path in json.load(stream):
            yield path if path == ANY else os.path.relpath(path, root) + ("/" if path.endswith("/") else "")
