"""What each task's last result was: kept in this checkout, to say what changed and to know leftover outputs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import msgspec

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """Which record a task's last hit or execution left, and the digests of the files that it made."""

    own_key: Key
    key: Key
    files: dict[str, Digest]
    duration_s: float


class LastResults:
    """The last result of every task that ever had one here; losing it costs explanations, not correctness."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, "last.json")
        self._changed = False
        self._tasks: dict[str, Last] = {}
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError), open(self._path, "rb") as file:
            self._tasks = msgspec.json.decode(file.read(), type=dict[str, Last])

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever built in this checkout."""
        return not self._tasks

    def note(self, task: TaskName, record: Record) -> None:
        last = Last(
            own_key=record.own_key,
            key=record.key,
            files={file.path: Digest(file.xxh3) for output in record.outputs for file in output.files},
            duration_s=record.origin.duration_s,
        )
        if self._tasks.get(task) != last:
            self._tasks[task] = last
            self._changed = True

    def note_draft(self, task: TaskName, record: Record) -> None:
        """Note the files of a result that no later build may take for one."""
        before = self._tasks.get(task)
        self.note(task, record)
        if before is not None:
            self._tasks[task] = msgspec.structs.replace(before, files=self._tasks[task].files)

    def record(self, task: TaskName, records: RecordStore) -> Record | None:
        last = self._tasks.get(task)
        return records.get(last.own_key, last.key) if last else None

    def durations(self) -> dict[str, float]:
        """Return how many seconds each task's last execution took."""
        return {name: last.duration_s for name, last in self._tasks.items()}

    def files(self, task: TaskName) -> Mapping[str, Digest]:
        """Return the digests of the files that a task last made here."""
        last = self._tasks.get(task)
        return last.files if last else {}

    def leftovers(self, graph: Graph) -> dict[ProjectPath, Digest]:
        """Return files that tasks made here, with their digests, and that no task of today declares."""
        return {
            ProjectPath(path): digest
            for last in self._tasks.values()
            for path, digest in last.files.items()
            if graph.owner_of(path) is None
        }

    def save(self) -> None:
        if self._changed:
            temporary = f"{self._path}.new"
            with open(temporary, "wb") as file:
                file.write(msgspec.json.encode(self._tasks))
            os.replace(temporary, self._path)
            self._changed = False
