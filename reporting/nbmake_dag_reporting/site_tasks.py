"""What the site knows of each task over all runs, in one chunk: how long it took, what was saved, how steady.

Numbers are those of runs, in the order of their arrival. Lists are sparse, since most tasks of most runs are hits.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from typing import Any, TypeAlias

import msgspec

from nbmake_dag_reporting.run import TaskRun

_MOST_ARTIFACTS = 50

Pairs: TypeAlias = list[tuple[int, Any]]
"""Numbers of runs, rising, each with a value."""


class TaskLedger(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One task."""

    took: Pairs = []
    """Seconds of each execution."""
    retried: Pairs = []
    """Attempts of the executions that needed more than one."""
    saved: Pairs = []
    """Seconds that a hit saved, from this run on until the next that is named: only executions change them."""
    unsteady: list[int] = []
    """Executions whose key left other outputs in another of them."""

    artifacts: dict[str, str] = {}
    """Media types of what it logged, by name."""

    def add(self, task: TaskRun, number: int, runs: int) -> None:
        """Take in how a task fared in a run, or replace what is known of it; ``runs`` is how many are known."""
        seconds = None
        if task.attempts and task.started is not None and task.ended is not None:
            seconds = round((task.ended - task.started) / 1e9, 3)
        _put(self.took, number, seconds)
        _put(self.retried, number, len(task.attempts) if len(task.attempts) > 1 else None)
        self.artifacts |= {
            name: artifact.media_type for name, artifact in islice(task.artifacts.items(), _MOST_ARTIFACTS)
        }
        if task.source is not None:
            _put_change(self.saved, number, round(task.saved_s, 3), runs)

    def document(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value}


def unsteady(results: Sequence[str | None]) -> list[int]:
    """Return the numbers of executions whose key left other outputs too; each has its key and a digest of them."""
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, result in enumerate(results):
        if isinstance(result, str):
            key, _, outputs = result.partition(" ")
            found[key].append((number, outputs))
    return sorted(
        number
        for executions in found.values()
        if len({outputs for _, outputs in executions}) > 1
        for number, _ in executions
    )


def _place(pairs: Pairs, number: int) -> int:
    return bisect_left(pairs, number, key=lambda pair: pair[0])


def _put(pairs: Pairs, number: int, value: Any) -> None:
    place = _place(pairs, number)
    known = place < len(pairs) and pairs[place][0] == number
    if value is not None:
        pairs[place : place + known] = [(number, value)]
    elif known:
        del pairs[place]


def _put_change(pairs: Pairs, number: int, value: Any, runs: int) -> None:
    """Set a value that holds until the next; what comes after the number keeps its own."""
    place = bisect_right(pairs, number, key=lambda pair: pair[0])
    before = pairs[place - 1][1] if place else None
    if before == value:
        return
    follows = place < len(pairs) and pairs[place][0] == number + 1
    if before is not None and number + 1 < runs and not follows:
        _put(pairs, number + 1, before)
    _put(pairs, number, value)
