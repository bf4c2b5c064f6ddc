"""The logged values of the tasks above, and a note of each value that is read, which becomes part of the key."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Generic, Optional, TypeVar

from nbmake_dag.inside.given import given
from nbmake_dag.inside.latest_records import latest_records
from nbmake_dag.inside.stream import append

_V = TypeVar("_V")
_Note = Callable[[Optional[str]], None]


class Artifact:
    """A logged file of a task above, copied out of nbdag's store and verified when it is first used."""

    __slots__ = ("_blob", "_folder", "_name", "_path")

    def __init__(self, name: str, blob: str, folder: str) -> None:
        self._name = name
        self._blob = blob
        self._folder = folder
        self._path = ""

    @property
    def path(self) -> str:
        """The absolute path of a copy of one's own; raises `OSError` where the store lost the file."""
        if not self._path:
            self._path = self._copy()
        return self._path

    def _copy(self) -> str:
        """Copy the blob, which is named by its SHA-256; a damaged one is removed, so that its task runs again."""
        folder = tempfile.mkdtemp(dir=self._folder)
        path = os.path.join(folder, os.path.basename(self._name))
        digest = hashlib.sha256()
        try:
            with open(self._blob, "rb") as source, open(path, "wb") as target:
                while piece := source.read(1 << 20):
                    digest.update(piece)
                    target.write(piece)
        except FileNotFoundError:
            raise FileNotFoundError(f"artifact {self._name} is no longer in nbdag's cache: build again") from None
        if digest.hexdigest() != os.path.basename(self._blob):
            os.unlink(self._blob)
            raise OSError(f"artifact {self._name} was damaged in nbdag's cache: build again")
        return path

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return f"Artifact({self._name!r})"

    def read_bytes(self) -> bytes:
        """Return the content; raises `OSError` as ``path`` does."""
        with open(self.path, "rb") as file:
            return file.read()

    def read_text(self) -> str:
        """Return the content, read as UTF-8."""
        return self.read_bytes().decode()


class Noted(Mapping[str, _V], Generic[_V]):
    """A mapping that reports reads: the name of a value, or ``None`` for the set of names."""

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

    def follow(self, other: Noted[_V]) -> None:
        """Give from now on what another one gives."""
        self._values.clear()
        self._values.update(other._values)

    def __repr__(self) -> str:
        return repr(dict(self.items()))


class Upstream:
    """The logged values of one task above.

    ``params``, ``metrics`` (the last value of each, a float), ``tags`` and ``artifacts`` are mappings by name; a
    name that was not logged raises `KeyError`.
    """

    __slots__ = ("artifacts", "metrics", "params", "tags")

    def __init__(
        self, left: Mapping[str, dict[str, Any]], folder: str, note: Callable[[str, str | None], None]
    ) -> None:
        def noted(kind: str) -> _Note:
            return lambda name: note(kind, name)

        artifacts = {name: Artifact(name, blob, folder) for name, blob in left["artifacts"].items()}
        self.params: Mapping[str, Any] = Noted(left["params"], noted("params"))
        metrics = {name: float(value) for name, value in left["metrics"].items()}
        self.metrics: Mapping[str, float] = Noted(metrics, noted("metrics"))
        self.tags: Mapping[str, str] = Noted(left["tags"], noted("tags"))
        self.artifacts: Mapping[str, Artifact] = Noted(artifacts, noted("artifacts"))

    def follow(self, other: Upstream) -> None:
        """Give from now on what another one gives."""
        for kind in self.__slots__:
            getattr(self, kind).follow(getattr(other, kind))

    def __repr__(self) -> str:
        return (
            f"Upstream(params={self.params!r}, metrics={self.metrics!r}, "
            f"tags={self.tags!r}, artifacts={self.artifacts!r})"
        )


class Above(Noted[Upstream]):
    """The tasks above, by name."""

    __slots__ = ()

    def renew(self, other: Above) -> None:
        """Give from now on what another one gives, also with the tasks that were taken from here."""
        kept = {name: task for name, task in self._values.items() if name in other._values}
        for name, task in kept.items():
            task.follow(other._values[name])
        self._values.clear()
        self._values.update({**other._values, **kept})


_given: list[Above] = []
"""What the work of a run was given, the last for this attempt."""


def upstream() -> Mapping[str, Upstream]:
    """Return what the tasks above logged, by the name of the instance: ``train[size=600]``.

    Reading a value makes it an ingredient of this task: it runs again when that value changes. Iterating, ``len``
    and ``in`` read the set of names. Outside a run it answers from the latest record of every task.
    """
    path = given("NBDAG_UPSTREAM")
    if path:
        return _of_run(path)
    return _mapping(latest_records(os.getcwd()), _own_folder(), _note_nothing)


@cache
def _own_folder() -> str:
    """Make a folder for copies of artifacts, which ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="nbdag-")
    atexit.register(folder.cleanup)
    return folder.name


def _note_nothing(_task: str, _kind: str, _name: str | None) -> None:
    """Note nothing: outside a run no key is made."""


def resume() -> None:
    """Let all that the work was given tell what was left for this attempt, which goes on from a snapshot."""
    path = given("NBDAG_UPSTREAM")
    if not path or not _given:
        return
    now = _of_run(path)
    for before in _given[:-1]:
        before.renew(now)


@cache
def _of_run(path: str) -> Above:
    left = left_above(path)
    seen: set[tuple[str, str, str | None]] = set()

    def note(task: str, kind: str, name: str | None) -> None:
        if (task, kind, name) not in seen:
            append({"kind": "read", "task": task, "of": kind, "name": name})
            seen.add((task, kind, name))

    _given.append(_mapping(left, os.path.dirname(path), note))
    return _given[-1]


def left_above(path: str) -> dict[str, dict[str, Any]]:
    """Read what the tasks above left, in pipeline order: the lines that a file names, and that those name."""
    with open(path, "rb") as file:
        start = json.load(file)
    found: dict[int, dict[str, Any]] = {}
    waiting: list[int] = start["above"]
    if not waiting:
        return {}
    with open(start["lines"], "rb") as lines:
        while waiting:
            offset = waiting.pop()
            if offset in found:
                continue
            lines.seek(offset)
            found[offset] = line = json.loads(lines.readline())
            waiting += line["above"]
            line["artifacts"] = {
                name: os.path.join(start["blobs"], sha256[:2], sha256)
                for name, (sha256, _) in line["artifacts"].items()
            }
    return {line["task"]: line for line in sorted(found.values(), key=lambda line: line["position"])}


def _mapping(
    left: Mapping[str, Mapping[str, dict[str, Any]]], folder: str, note: Callable[[str, str, str | None], None]
) -> Above:
    def noted(task: str) -> Callable[[str, str | None], None]:
        return lambda kind, name: note(task, kind, name)

    tasks = {task: Upstream(values, folder, noted(task)) for task, values in left.items()}

    def note_tasks(name: str | None) -> None:
        """Note a task that is missing, which depends on the set; to choose one that exists reads nothing."""
        if name not in tasks:
            note("", "tasks", None)

    return Above(tasks, note_tasks)
