"""What tasks left for `upstream()`, in a file that grows with the build: an attempt is told where to look.

A line is written when a task below is first begun, and names the lines of the tasks right above its own. So each
is written once, however many tasks are below, and nobody walks up but who asks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec

from nbmake_dag.core.facts import Result
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.errors import naming
from nbmake_dag.execute.protocol import Left, Upstream

_Value = TypeVar("_Value")


class LeftLines:
    """The lines of one build. When families become known, tasks change places, and another file begins.

    Its name is like no other's: builds of one `watch` share a folder, and a node keeps what it fetched by name.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._path = ""
        self._paths: list[str] = []
        self._size = 0
        self._offsets: dict[TaskName, int] = {}

    def above(self, task: TaskName, graph: Graph, results: Mapping[TaskName, Result], folder: str) -> Upstream:
        """Return where the tasks above one left what they did; ``results`` has all of them.

        The file is in ``folder``. Raises `OSError` where it cannot be written.
        """
        above = (graph.whole or graph).upstream[task]
        if not above:
            return Upstream()
        if graph is not self._graph:
            self._graph, self._size, self._offsets = graph, 0, {}
            self._path = os.path.join(folder, f"upstream-{os.urandom(8).hex()}.jsonl")
            self._paths.append(self._path)
        self._write(above, graph.whole or graph, results)
        return Upstream(file=self._path, size=self._size, above=tuple(self._offsets[name] for name in above))

    def remove(self) -> None:
        """Remove the files, when no attempt of the build runs any more."""
        for path in self._paths:
            with suppress(OSError):
                os.unlink(path)

    def _write(self, names: tuple[TaskName, ...], graph: Graph, results: Mapping[TaskName, Result]) -> None:
        """Append the lines of some tasks that are not there, each after those above it."""
        lines: list[bytes] = []
        waiting = list(names)
        while waiting:
            name = waiting[-1]
            missing = [] if name in self._offsets else self._missing(graph.upstream[name])
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if name not in self._offsets:
                self._offsets[name] = self._size
                lines.append(self._line(name, graph, results[name]))
                self._size += len(lines[-1])
        if lines:
            with naming(self._path), open(self._path, "ab") as file:
                file.write(b"".join(lines))

    def _missing(self, names: tuple[TaskName, ...]) -> list[TaskName]:
        return [name for name in names if name not in self._offsets]

    def _line(self, name: TaskName, graph: Graph, result: Result) -> bytes:
        logged = result.logged
        left = Left(
            task=name,
            position=graph.positions[name],
            above=tuple(self._offsets[other] for other in graph.upstream[name]),
            params=_by_name({**result.parameters, **logged.params}),
            metrics=_by_name(logged.metrics),
            tags=_by_name(logged.tags),
            artifacts={key: (one.sha256, one.size) for key, one in _by_name(logged.artifacts).items()},
        )
        return msgspec.json.encode(left) + b"\n"


def _by_name(values: Mapping[str, _Value]) -> dict[str, _Value]:
    return dict(sorted(values.items()))
