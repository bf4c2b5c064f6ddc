"""The last result of each task: from this checkout, or from runs that came with the cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

import msgspec

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.state.gc_roots import run_folders
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.runs import read_records

_HANDED_OVER_MOST_S = 0.3
"""What handing over an attempt takes on slow machines: who measures more measures a busy one."""


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """Which record a task's last hit or execution left, and the digests of the files that it made."""

    own_key: Key
    key: Key
    files: dict[str, Digest]
    duration_s: float
    recorded: bool = True
    """Whether the record was published: others serve explanations of the build that made them alone."""


class LastFailure(msgspec.Struct, frozen=True, kw_only=True):
    """How a task failed that has had no result since."""

    run_id: str
    time: int
    """Nanoseconds since the epoch."""
    what: str
    """One line, such as ``KeyError: 'price'``."""
    cell: CellRef | None = None


class LastRestored(msgspec.Struct, frozen=True, kw_only=True):
    """The run as of which `nbdag restore` put a task's outputs in place, and the digests of their files."""

    run_id: str
    files: dict[str, Digest]


class ExecutorCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor was measured to cost here, in seconds: its start, and handing one attempt to it."""

    start_s: float
    handed_over_s: float


class _Content(msgspec.Struct, kw_only=True):
    results: dict[str, Last] = {}
    failures: dict[str, LastFailure] = {}
    restored: dict[str, LastRestored] = {}
    """Of tasks that have had no result since."""
    executors: dict[str, ExecutorCosts] = {}


class PreviousResults:
    """The last result and failure of every task here; losing them costs explanations, not correctness."""

    def __init__(self, state: str, warn: Callable[[str], None]) -> None:
        self._file = StateFile(os.path.join(state, "last.json"), "nbdag-last-results 3", _Content)
        self._changed = False
        self._content = self._file.read(warn) or _Content()
        self._tasks = self._content.results

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever built in this checkout."""
        return not self._tasks

    def note(self, task: TaskName, record: Record, *, recorded: bool = True) -> None:
        last = Last(
            own_key=record.own_key,
            key=record.key,
            files={file.path: Digest(file.xxh3) for output in record.outputs for file in output.files},
            duration_s=record.origin.duration_s,
            recorded=recorded,
        )
        self._changed |= self._content.failures.pop(task, None) is not None
        self.forget_restored(task)
        if self._tasks.get(task) != last:
            self._tasks[task] = last
            self._changed = True

    def note_draft(self, task: TaskName, record: Record) -> None:
        """Note the files of a result that no later build may use as a result."""
        before = self._tasks.get(task)
        self.note(task, record, recorded=False)
        if before is not None:
            self._tasks[task] = msgspec.structs.replace(before, files=self._tasks[task].files)

    def note_failure(self, task: TaskName, failure: LastFailure) -> None:
        self._content.failures[task] = failure
        self._changed = True

    def failure(self, task: TaskName) -> LastFailure | None:
        """Return how a task failed, if it has had no result since."""
        return self._content.failures.get(task)

    def note_restored(self, task: TaskName, restored: LastRestored) -> None:
        self._content.restored[task] = restored
        self._changed = True

    def forget_restored(self, task: TaskName) -> None:
        self._changed |= self._content.restored.pop(task, None) is not None

    def restored_from(self, task: TaskName) -> str | None:
        """Return the run as of which a task's outputs were put in place, if it has had no result since."""
        restored = self._content.restored.get(task)
        return restored.run_id if restored else None

    def record(self, task: TaskName, records: RecordStore) -> Record | None:
        last = self._tasks.get(task)
        return records.get(last.own_key, last.key) if last else None

    def why_lost(self, task: TaskName) -> str:
        """Return why a task that ended well has no record to compare with; nothing for one that never did."""
        last = self._tasks.get(task)
        if last is None:
            return ""
        return "its record is no longer in the cache" if last.recorded else "its last result was not recorded"

    def durations(self) -> dict[str, float]:
        """Return how many seconds each task's last execution took."""
        return {name: last.duration_s for name, last in self._tasks.items()}

    def note_costs(self, executor: str, costs: ExecutorCosts) -> None:
        """Keep the least of what an executor was seen to cost: what comes on top is how busy the machine was.

        Only builds that use it measure again: a first one at a busy time must not keep the later ones off it.
        """
        before = self._content.executors.get(executor, costs)
        self._content.executors[executor] = ExecutorCosts(
            start_s=min(before.start_s, costs.start_s),
            handed_over_s=min(before.handed_over_s, costs.handed_over_s, _HANDED_OVER_MOST_S),
        )
        self._changed = True

    def costs(self, executor: str) -> ExecutorCosts | None:
        """Return the least that an executor was seen to cost here."""
        return self._content.executors.get(executor)

    def files(self, task: TaskName) -> Mapping[str, Digest]:
        """Return the digests of the files that nbdag last put here for a task."""
        last, restored = self._tasks.get(task), self._content.restored.get(task)
        return {**(last.files if last else {}), **(restored.files if restored else {})}

    def save(self) -> None:
        if self._changed:
            self._file.write(self._content)
            self._changed = False


_RUNS = 5
"""Runs that are read: in the newest one some tasks may have failed."""


class CarriedResults:
    """The newest record of each task that the last runs name and the cache still has; each run is read once."""

    def __init__(self, project: Project, records: RecordStore) -> None:
        self._project = project
        self._records = records
        self._read: dict[str, dict[str, tuple[Key, Key]]] = {}

    def of(self, tasks: Iterable[TaskName]) -> dict[TaskName, Record]:
        wanted = set(tasks)
        found: dict[TaskName, Record] = {}
        for folder in run_folders(self._project.runs)[:_RUNS]:
            keys = self._keys_in(folder)
            for name in wanted.difference(found).intersection(keys):
                if (record := self._records.get(*keys[name])) is not None:
                    found[name] = record
            if len(found) == len(wanted):
                break
        return found

    def _keys_in(self, folder: str) -> dict[str, tuple[Key, Key]]:
        """Return own key and key of the record of each task in a run."""
        if folder not in self._read:
            records = read_records(folder).items()
            self._read[folder] = {name: (Key(found.own_key), Key(found.key)) for name, found in records}
        return self._read[folder]
