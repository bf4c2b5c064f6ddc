"""Outputs of hits on their way back from the cache, in threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nbmake_dag.build.executions import Executions
from nbmake_dag.build.keep import restore
from nbmake_dag.build.outcome import Kept
from nbmake_dag.build.sharing import Sharing
from nbmake_dag.core.schedule import Restore
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobError, BlobStore

_THREADS = 4


@dataclass(frozen=True, slots=True)
class PutBack:
    """Outputs of a hit were put back, or could not be. ``kept`` are bytes of the user that were in their place."""

    instruction: Restore
    kept: tuple[Kept, ...]
    error: BlobError | OSError | None


class Restoring:
    """Carries out `Restore`; ``done`` is called in another thread with what came of each."""

    def __init__(
        self,
        project: Project,
        blobs: BlobStore,
        executions: Executions,
        sharing: Sharing | None,
        done: Callable[[PutBack], None],
    ) -> None:
        self._project = project
        self._blobs = blobs
        self._executions = executions
        self._sharing = sharing
        self._done = done
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="restore")

    def begin(self, instruction: Restore) -> None:
        self._threads.submit(self._carry_out, instruction)

    def close(self) -> None:
        """Wait until all that began is done."""
        self._threads.shutdown()

    def _carry_out(self, instruction: Restore) -> None:
        kept: tuple[Kept, ...] = ()
        error: BlobError | OSError | None = None
        try:
            kept = self._executions.keep(instruction.task, instruction.missing)
            self._restore(instruction)
        except (BlobError, OSError) as failure:
            error = failure
        self._done(PutBack(instruction, kept, error))

    def _restore(self, instruction: Restore) -> None:
        """Restore from here, or where a blob is lost from what others shared."""
        missing = set(instruction.missing)
        outputs = [output for output in instruction.record.outputs if output.path in missing]
        try:
            restore(self._project, self._blobs, outputs)
        except BlobError:
            if self._sharing is None or not self._sharing.mend(instruction.record):
                raise
            restore(self._project, self._blobs, outputs)
