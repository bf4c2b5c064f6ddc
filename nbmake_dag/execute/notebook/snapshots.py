"""The snapshots of one `nbdag watch`, and which of them are worth their memory.

Memory is what the kernel counts as a process's share of its private pages, so that what several snapshots share is
counted once. Dropped are first those that the present notebook cannot use, then those that save the least time.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import TaskName
from nbmake_dag.core.resume import Taken
from nbmake_dag.execute.notebook.saved_state import SOCKET, remove_snapshot
from nbmake_dag.execute.processes.zygote_client import Snapshot

IDLE_S = 3600.0
"""Without use for this long a snapshot is dropped."""
MOST = 16
"""Snapshots of one task."""
_WORTH_SAYING_S = 1.0
"""That a snapshot was dropped is worth saying if it saved this much."""
_MOST_STRAYS = 3
"""Snapshots of one task that its present notebook cannot use, but an earlier one, to which one may go back."""


class _Held(msgspec.Struct, kw_only=True):
    task: TaskName
    taken: Taken
    used: float = msgspec.field(default_factory=time.monotonic)
    fits: bool = True


class Snapshots:
    """Holds snapshots within ``budget`` bytes; those whose kernels run now are not dropped."""

    def __init__(self) -> None:
        self.budget = 0
        self._held: dict[str, _Held] = {}
        self._in_use: dict[TaskName, str] = {}

    def of(self, task: TaskName) -> list[Taken]:
        return [held.taken for held in self._held.values() if held.task == task]

    def add(self, task: TaskName, taken: Taken) -> frozenset[TaskName]:
        """Add a snapshot; return the tasks that will miss one that had to be dropped for its memory."""
        self._held[taken.folder] = _Held(task=task, taken=taken)
        return frozenset(self._trim())

    def begin(self, task: TaskName, fitting: Collection[Taken], chosen: Taken | None) -> None:
        """Note that a task runs, which snapshots its present notebook could use, and which it uses."""
        for held in self._of(task):
            held.fits = held.taken in fitting
        if chosen is not None:
            self._in_use[task] = chosen.folder
            self._held[chosen.folder].used = time.monotonic()

    def end(self, task: TaskName, opened: frozenset[str]) -> frozenset[TaskName]:
        """Note that a task has ended, and which files it had opened then; return what `add` does."""
        self._in_use.pop(task, None)
        for held in self._of(task):
            if held.fits:
                held.taken = replace(held.taken, later=held.taken.later | (opened - held.taken.opened))
        return frozenset(self._trim())

    def drop_idle(self) -> None:
        now = time.monotonic()
        for held in self._idle():
            if now - held.used > IDLE_S:
                self._drop(held)

    def drop(self, folder: str) -> None:
        """Drop one that is there."""
        self._drop(self._held[folder])

    def clear(self) -> None:
        for held in list(self._held.values()):
            self._drop(held)

    def _of(self, task: TaskName) -> list[_Held]:
        return [held for held in self._held.values() if held.task == task]

    def _trim(self) -> list[TaskName]:
        for held in self._surplus():
            self._drop(held)
        missing: list[TaskName] = []
        while (idle := self._idle()) and (
            sum(private_bytes(held.taken.pid) for held in self._held.values()) > self.budget
        ):
            least = min(idle, key=self._worth)
            _, saved_s, _ = self._worth(least)
            missing += [least.task] if saved_s >= _WORTH_SAYING_S else []
            self._drop(least)
        return missing

    def _idle(self) -> list[_Held]:
        used = self._in_use.values()
        return [held for held in self._held.values() if held.taken.folder not in used]

    def _surplus(self) -> list[_Held]:
        """Return those that exceed the number allowed for their task, regardless of their memory."""
        surplus: list[_Held] = []
        for task in {held.task for held in self._held.values()}:
            ranked = sorted((held for held in self._idle() if held.task == task), key=self._worth, reverse=True)
            fitting, strays = [h for h in ranked if h.fits], [h for h in ranked if not h.fits]
            surplus += [*fitting[MOST:], *strays[_MOST_STRAYS:]]
        return surplus

    def _worth(self, held: _Held) -> tuple[bool, float, float]:
        """Rank by the time that would be lost without it: what its cells took since the snapshot before it."""
        before = (
            other.taken.elapsed_s
            for other in self._of(held.task)
            if other.fits == held.fits
            and other.taken.cells < held.taken.cells
            and other.taken.executed == held.taken.executed[: other.taken.cells]
        )
        return held.fits, (held.taken.elapsed_s - max(before, default=0.0)) if held.fits else 0.0, held.used

    def _drop(self, held: _Held) -> None:
        del self._held[held.taken.folder]
        Snapshot(path=f"{held.taken.folder}/{SOCKET}").end()
        remove_snapshot(held.taken.folder)


def private_bytes(pid: int) -> int:
    """Return a process's share of the pages that are not of files; 0 of one that has ended."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) << 10
    return 0
