"""What each task's last result was: kept in this checkout, to say what changed and to know leftover outputs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import msgspec

from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """Which record a task's last hit or execution left, and the digests of its outputs."""

    own_key: Key
    key: Key
    outputs: dict[str, Digest]
    duration_s: float


class LastResults:
    """The last result of every task that ever had one here; losing it costs explanations, not correctness."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, "last.json")
        self._changed = False
        self._tasks: dict[str, Last] = {}
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError), open(self._path, "rb") as file:
            self._tasks = msgspec.json.decode(file.read(), type=dict[str, Last])

    def note(self, task: TaskName, record: Record) -> None:
        last = Last(
            own_key=record.own_key,
            key=record.key,
            outputs={output.path: Digest(output.digest) for output in record.outputs},
            duration_s=record.origin.duration_s,
        )
        if self._tasks.get(task) != last:
            self._tasks[task] = last
            self._changed = True

    def record(self, task: TaskName, records: RecordStore) -> Record | None:
        last = self._tasks.get(task)
        return records.get(last.own_key, last.key) if last else None

    def durations(self) -> dict[str, float]:
        """Return how many seconds each task's last execution took."""
        return {name: last.duration_s for name, last in self._tasks.items()}

    def leftovers(self, owned: Mapping[ProjectPath, TaskName]) -> dict[ProjectPath, Digest]:
        """Return outputs, with their digests, that no task of today declares."""
        return {
            ProjectPath(path): digest
            for last in self._tasks.values()
            for path, digest in last.outputs.items()
            if path not in owned
        }

    def save(self) -> None:
        if self._changed:
            temporary = f"{self._path}.new"
            with open(temporary, "wb") as file:
                file.write(msgspec.json.encode(self._tasks))
            os.replace(temporary, self._path)
            self._changed = False
