"""The queue of ready tasks, the highest priority first; taking tasks costs only as much as those taken."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from nbmake_dag.core.model import Resources, Task, TaskName
from nbmake_dag.execute.executor_kind import Backend

_Kind: TypeAlias = tuple[object, ...]
_Entry: TypeAlias = tuple[float, int, TaskName]


class Queue:
    """Tasks in heaps, one for each kind of resources: what has no room for one task has none for its like.

    ``priorities`` in seconds, more is sooner; among equals the one that was added first.
    """

    def __init__(self, priorities: Mapping[TaskName, float]) -> None:
        self._priorities = priorities
        self._tasks: dict[TaskName, Task] = {}
        self._heaps: dict[_Kind, list[_Entry]] = {}
        self._delayed: list[tuple[float, int, TaskName]] = []
        self._added = 0

    def __iter__(self) -> Iterator[TaskName]:
        return iter(tuple(self._tasks))

    def add(self, task: Task, not_before: float = 0.0) -> None:
        """Add a task, which may have to wait for a moment of the monotonic clock, in seconds."""
        self._tasks[task.name] = task
        self._added += 1
        if not_before:
            heapq.heappush(self._delayed, (not_before, self._added, task.name))
        else:
            self._push(task)

    def remove(self, name: TaskName) -> None:
        """Remove a task, if it is there; its entry in a heap is passed over later."""
        self._tasks.pop(name, None)

    def placed(self, place: Callable[[Task], Backend | None], now: float) -> Iterator[tuple[Task, Backend]]:
        """Take out every task that ``place`` finds an executor for, with that executor."""
        while self._delayed and self._delayed[0][0] <= now:
            name = heapq.heappop(self._delayed)[2]
            if name in self._tasks:
                self._push(self._tasks[name])
        full: set[_Kind] = set()
        while (kind := self._highest(full)) is not None:
            name = self._heaps[kind][0][2]
            task = self._tasks[name]
            where = place(task)
            if where is None:
                full.add(kind)
                continue
            heapq.heappop(self._heaps[kind])
            del self._tasks[name]
            yield task, where

    def _highest(self, full: set[_Kind]) -> _Kind | None:
        best: tuple[_Entry, _Kind] | None = None
        for kind, heap in self._heaps.items():
            while heap and heap[0][2] not in self._tasks:
                heapq.heappop(heap)
            if heap and kind not in full and (best is None or heap[0] < best[0]):
                best = heap[0], kind
        return best[1] if best else None

    def _push(self, task: Task) -> None:
        self._added += 1
        heap = self._heaps.setdefault(_kind(task.policy.resources), [])
        heapq.heappush(heap, (-self._priorities[task.name], self._added, task.name))


def _kind(wanted: Resources) -> _Kind:
    return wanted.cpus, wanted.gpus, wanted.memory, *sorted(wanted.custom.items()), *sorted(wanted.labels.items())
