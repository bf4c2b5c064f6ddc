"""Tasks that never come to rest, because a task of the pipeline changes their inputs whenever they are built."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from nbmake_dag.core.facts import Facts
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag.record.outcome import RunOutcome

_TOLERATED = 2.0
_CERTAIN, _LIKELY = 1.0, 0.5
"""What one build counts in which a task was seen to write the input, and one in which it merely changed.

Only what Python writes is seen: of a command nothing is.
"""


class _Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a task was last executed on, and who may have changed that: paths with the tasks that wrote them.

    ``touched`` are those of its inputs that changed while it ran, to its end.
    """

    inputs: Mapping[str, str]
    writers: Mapping[str, TaskName]
    touched: frozenset[str]


class Restless:
    """Counts builds after which the inputs of an executed task were others, and whose doing that was."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._ran: dict[TaskName, _Ran] = {}
        self._counts: dict[TaskName, float] = {}
        self._blocked: dict[TaskName, tuple[str, str]] = {}

    def note(self, outcome: RunOutcome, facts: Mapping[TaskName, Facts]) -> None:
        """Take in the end of a build on ``facts``."""
        executed = {name: end for name, end in outcome.tasks.items() if end.attempts}
        writers = {
            access.path: name
            for name, end in executed.items()
            for access in end.attempts[-1].accesses
            if access.mode == "write"
        }
        for name, end in executed.items():
            inputs = _inputs(facts[name])
            last = end.attempts[-1]
            is_unseen = end.status == "ran" and not last.accesses
            touched = (path for path in inputs if is_unseen and self._is_touched(path, last))
            self._ran[name] = _Ran(inputs=inputs, writers=writers, touched=frozenset(touched))

    def found(self, graph: Graph, facts: Mapping[TaskName, Facts]) -> dict[TaskName, str]:
        """Return the tasks that are to be left alone as they are now, with the reason."""
        for name, ran in self._ran.items():
            if name in facts:
                self._judge(name, ran, facts[name])
        self._ran = {}
        self._blocked = {
            name: (key, reason)
            for name, (key, reason) in self._blocked.items()
            if name in graph.tasks and facts[name].own_key == key
        }
        return {name: reason for name, (_, reason) in self._blocked.items()}

    def forget(self) -> None:
        """Let all be built once more."""
        self._blocked.clear()

    def _judge(self, name: TaskName, ran: _Ran, now: Facts) -> None:
        inputs = _inputs(now)
        changed = sorted(path for path in {*ran.inputs, *inputs} if inputs.get(path) != ran.inputs.get(path))
        culprits = [(path, writer) for path in changed if (writer := _writer(path, ran.writers))]
        if culprits:
            self._counts[name] = self._counts.get(name, 0.0) + _CERTAIN
        elif touched := sorted(ran.touched.intersection(changed)):
            self._counts[name] = self._counts.get(name, 0.0) + _LIKELY
            culprits = [(touched[0], name)]
        else:
            self._counts.pop(name, None)
        if self._counts.get(name, 0.0) >= _TOLERATED:
            path, writer = culprits[0]
            self._blocked[name] = now.own_key, _reason(name, path, writer)

    def _is_touched(self, path: str, attempt: AttemptResult) -> bool:
        try:
            return attempt.started <= os.stat(os.path.join(self._root, path)).st_mtime_ns <= attempt.ended
        except OSError:
            return False


def _inputs(facts: Facts) -> dict[str, str]:
    return {item.path: item.value for item in facts.own if item.kind == "input"}


def _writer(path: str, writers: Mapping[str, TaskName]) -> TaskName | None:
    """Return who wrote a file, or one in a folder."""
    if path.endswith("/"):
        return next((task for written, task in writers.items() if written.startswith(path)), None)
    return writers.get(path)


def _reason(name: TaskName, path: str, writer: TaskName) -> str:
    whose = "its own input" if writer == name else f"an input of {name}:"
    return (
        f"error: {writer} changes {whose} {path} whenever it runs, so {name} would be built without end; "
        "it is built again when something else changes\n\n"
        f"hint: let {writer} write to another file, which it declares as an output"
    )
