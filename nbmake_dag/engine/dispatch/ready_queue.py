"""The queue of ready tasks, the highest priority first, and the pools that they take from while they run.

Rules:

- A task takes what it needs of its pools all at once when it is taken out, and gives it back when its attempt
  ends: what waits holds nothing, so that tasks cannot wait for each other.
- No task overtakes one of higher priority that waits for a pool of both: what takes much of a pool gets its turn.
- Taking tasks costs only as much as those taken, however many wait.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from nbmake_dag.core.model import Policy, Task, TaskName
from nbmake_dag.execute.executor_kind import Backend

_Kind: TypeAlias = tuple[object, ...]
_Entry: TypeAlias = tuple[int, float, int, TaskName]


class Queue:
    """Tasks in heaps, one for each kind of resources: what has no room for one task has none for its like.

    The task with the highest priority is the first; among equals the one with the most seconds in ``chains``, then
    the one that was added first. ``pools`` has the places of each.
    """

    def __init__(self, chains: Mapping[TaskName, float], pools: Mapping[str, int]) -> None:
        self._chains = chains
        self._free = dict(pools)
        self._held: dict[TaskName, Mapping[str, int]] = {}
        self._short: dict[_Kind, str] = {}
        self._untold: dict[_Kind, dict[TaskName, None]] = {}
        self._tasks: dict[TaskName, Task] = {}
        self._heaps: dict[_Kind, list[_Entry]] = {}
        self._delayed: list[tuple[float, int, TaskName]] = []
        self._added = 0

    def __iter__(self) -> Iterator[TaskName]:
        return iter(tuple(self._tasks))

    def take_chains(self, chains: Mapping[TaskName, float]) -> None:
        """Use these for the tasks that are added from now on."""
        self._chains = chains

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

    def release(self, name: TaskName) -> None:
        """Give back what a task took of its pools; nothing where it took nothing."""
        for pool, count in self._held.pop(name, {}).items():
            self._free[pool] += count

    def placed(self, place: Callable[[Task], Backend | None], now: float) -> Iterator[tuple[Task, Backend]]:
        """Take out every task whose pools have room and for which ``place`` finds an executor, with that one."""
        while self._delayed and self._delayed[0][0] <= now:
            name = heapq.heappop(self._delayed)[-1]
            if name in self._tasks:
                self._push(self._tasks[name])
        full: set[_Kind] = set()
        claimed: set[str] = set()
        self._short.clear()
        while (kind := self._highest(full)) is not None:
            name = self._heaps[kind][0][-1]
            task = self._tasks[name]
            pools = task.policy.pools
            short = next(
                (pool for pool, count in pools.items() if pool in claimed or self._free[pool] < count), None
            )
            if short is not None:
                self._short[kind] = short
                claimed.update(pools)
                full.add(kind)
                continue
            where = place(task)
            if where is None:
                full.add(kind)
                continue
            heapq.heappop(self._heaps[kind])
            del self._tasks[name]
            if pools:
                self._held[name] = pools
                self._untold[kind].pop(name, None)
                for pool, count in pools.items():
                    self._free[pool] -= count
            yield task, where

    def waits(self) -> Iterator[tuple[TaskName, str]]:
        """Yield the tasks that began to wait for a pool since the last call, as `placed` found, with that pool."""
        for kind, pool in self._short.items():
            untold, self._untold[kind] = self._untold[kind], {}
            yield from ((name, pool) for name in untold if name in self._tasks)

    def without_executor(self) -> list[TaskName]:
        """Return the tasks that wait for something other than a pool, as `placed` found."""
        if not self._short:
            return list(self._tasks)
        return [name for name, task in self._tasks.items() if _kind(task.policy) not in self._short]

    def _highest(self, full: set[_Kind]) -> _Kind | None:
        best: tuple[_Entry, _Kind] | None = None
        for kind, heap in self._heaps.items():
            while heap and heap[0][-1] not in self._tasks:
                heapq.heappop(heap)
            if heap and kind not in full and (best is None or heap[0] < best[0]):
                best = heap[0], kind
        return best[1] if best else None

    def _push(self, task: Task) -> None:
        self._added += 1
        kind = _kind(task.policy)
        heap = self._heaps.setdefault(kind, [])
        heapq.heappush(heap, (-task.policy.priority, -self._chains[task.name], self._added, task.name))
        if task.policy.pools:
            self._untold.setdefault(kind, {})[task.name] = None


def _kind(policy: Policy) -> _Kind:
    wanted = policy.resources
    return (
        wanted.cpus,
        wanted.gpus,
        wanted.memory,
        *sorted(wanted.custom.items()),
        *sorted(wanted.labels.items()),
        tuple(sorted(policy.pools.items())),
    )
