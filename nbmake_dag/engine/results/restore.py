"""Restore outputs of hits from the cache, in separate threads, without losing the user's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag.core.schedule import Restore
from nbmake_dag.engine.shared_cache.client import Sharing
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.record import Output


def restore(project: Project, blobs: BlobStore, outputs: Iterable[Output]) -> None:
    """Put outputs in place; raises `BlobError` where the cache does not have them, intact.

    A folder becomes what was recorded: files in it that are not of the record are removed.
    """
    for output in outputs:
        place = project.absolute(output.path).rstrip("/")
        if output.path.endswith("/"):
            _clear(place, keep={project.absolute(file.path) for file in output.files})
            _remove_empty(place, keep={project.absolute(folder).rstrip("/") for folder in output.folders})
            for folder in (output.path, *output.folders):
                os.makedirs(project.absolute(folder), exist_ok=True)
        elif os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        for file in output.files:
            blobs.restore(file.sha256, project.absolute(file.path), executable=file.executable)


def _clear(folder: str, keep: set[str]) -> None:
    """Remove all but folders and the files to keep; what a link leads to is the user's."""
    if os.path.lexists(folder) and (os.path.islink(folder) or not os.path.isdir(folder)):
        os.remove(folder)
    for inside, folders, names in os.walk(folder):
        links = filter(os.path.islink, (os.path.join(inside, name) for name in folders))
        others = (os.path.join(inside, name) for name in names)
        for path in {*links, *others} - keep:
            os.remove(path)


def _remove_empty(place: str, keep: set[str]) -> None:
    """Remove the empty folders below a folder, innermost first, but for those to keep."""
    for folder, _, _ in os.walk(place, topdown=False):
        if folder not in {place, *keep} and not os.listdir(folder):
            os.rmdir(folder)


_THREADS = 4


class PutBack(msgspec.Struct, frozen=True):
    """Outputs of a hit were put back, or could not be. ``rescued`` were files of the user in their place."""

    instruction: Restore
    rescued: tuple[RescuedFile, ...]
    error: Exception | None


class Restoring:
    """Carries out `Restore`; ``done`` is called in another thread with what came of each that began."""

    def __init__(
        self,
        project: Project,
        blobs: BlobStore,
        rescue: Callable[[TaskName, Iterable[ProjectPath]], tuple[RescuedFile, ...]],
        sharing: Sharing | None,
        done: Callable[[PutBack], None],
    ) -> None:
        self._project = project
        self._blobs = blobs
        self._rescue = rescue
        self._sharing = sharing
        self._done = done
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="restore")
        self._restores: dict[TaskName, Future[None]] = {}

    def begin(self, instruction: Restore) -> None:
        self._restores[instruction.task] = self._threads.submit(self._carry_out, instruction)

    def cancel(self, tasks: Container[TaskName]) -> list[TaskName]:
        """Let those of some tasks that have not begun never begin; return them."""
        cancelled = [task for task, restore in self._restores.items() if task in tasks and restore.cancel()]
        for task in cancelled:
            del self._restores[task]
        return cancelled

    def close(self) -> None:
        """Wait until all that began is done; nothing begins any more."""
        self._threads.shutdown(cancel_futures=True)

    def _carry_out(self, instruction: Restore) -> None:
        rescued: tuple[RescuedFile, ...] = ()
        error: Exception | None = None
        try:
            rescued = self._rescue(instruction.task, instruction.missing)
            self._restore(instruction)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the build waits for an answer
            error = failure
        self._done(PutBack(instruction, rescued, error))

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
