"""What the tasks above logged, and a note of each value that is really read, for it becomes part of the key."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Generic, TypeVar

from nbmake_dag.inside.history import latest_records
from nbmake_dag.inside.stream import append

_V = TypeVar("_V")
_Note = Callable[[str | None], None]


class Artifact:
    """A logged file of a task above."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path
        """Absolute; the file must not be changed."""

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"Artifact({self.path!r})"

    def read_bytes(self) -> bytes:
        with open(self.path, "rb") as file:
            return file.read()

    def read_text(self) -> str:
        return self.read_bytes().decode()


class Noted(Mapping[str, _V], Generic[_V]):
    """A mapping that says what is read from it: a name for a value, ``None`` for the set of names."""

    __slots__ = ("_note", "_values")

    def __init__(self, values: dict[str, _V], note: _Note) -> None:
        self._values = values
        self._note = note

    def __getitem__(self, name: str) -> _V:
        self._note(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        self._note(None)
        return iter(self._values)

    def __len__(self) -> int:
        self._note(None)
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        self._note(None)
        return name in self._values

    def __repr__(self) -> str:
        return repr(dict(self.items()))


class Upstream:
    """What one task above left."""

    __slots__ = ("artifacts", "metrics", "params", "tags")

    def __init__(self, left: Mapping[str, dict[str, Any]], note: Callable[[str, str | None], None]) -> None:
        def noted(kind: str) -> _Note:
            return lambda name: note(kind, name)

        artifacts = {name: Artifact(path) for name, path in left["artifacts"].items()}
        self.params: Mapping[str, Any] = Noted(left["params"], noted("params"))
        metrics = {name: float(value) for name, value in left["metrics"].items()}
        self.metrics: Mapping[str, float] = Noted(metrics, noted("metrics"))
        self.tags: Mapping[str, str] = Noted(left["tags"], noted("tags"))
        self.artifacts: Mapping[str, Artifact] = Noted(artifacts, noted("artifacts"))

    def __repr__(self) -> str:
        return (
            f"Upstream(params={self.params!r}, metrics={self.metrics!r}, "
            f"tags={self.tags!r}, artifacts={self.artifacts!r})"
        )


def upstream() -> Mapping[str, Upstream]:
    """Return what the tasks above logged, by the name of the instance: ``train[size=600]``.

    Reading a value makes it an ingredient of this task: it runs again when that value changes. Iterating, ``len``
    and ``in`` read the set of names. Outside a run it answers from the latest record of every task.
    """
    path = os.environ.get("NBDAG_UPSTREAM")
    if path:
        return _of_run(path)
    return _mapping(latest_records(os.getcwd()), _note_nothing)


def _note_nothing(_task: str, _kind: str, _name: str | None) -> None:
    """By hand there is no key."""


@cache
def _of_run(path: str) -> Mapping[str, Upstream]:
    with open(path, "rb") as file:
        left = json.load(file)
    seen: set[tuple[str, str, str | None]] = set()

    def note(task: str, kind: str, name: str | None) -> None:
        if (task, kind, name) not in seen:
            append({"kind": "read", "task": task, "of": kind, "name": name})
            seen.add((task, kind, name))

    return _mapping(left, note)


def _mapping(
    left: dict[str, dict[str, dict[str, Any]]], note: Callable[[str, str, str | None], None]
) -> Mapping[str, Upstream]:
    def noted(task: str) -> Callable[[str, str | None], None]:
        return lambda kind, name: note(task, kind, name)

    tasks = {task: Upstream(values, noted(task)) for task, values in left.items()}

    def note_tasks(name: str | None) -> None:
        """Choosing a task that is there reads nothing of it; that one is missing says something about the set."""
        if name not in tasks:
            note("", "tasks", None)

    return Noted(tasks, note_tasks)
