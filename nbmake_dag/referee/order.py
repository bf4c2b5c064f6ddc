"""The order of a trial, and its answer: values alone.

A trial executes chosen tasks in a private copy of the repository, with whatever its order puts in the place of
what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from nbmake_dag.core.model import ProjectPath, TaskName, Value
from nbmake_dag.core.vocabulary import TrialKind
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.vocabulary import TaskStatus


class Workspace(msgspec.Struct, frozen=True):
    """The files of the workspace that git lists; where there is no git, all but hidden folders."""


class Commit(msgspec.Struct, frozen=True):
    """The files of a commit."""

    revision: str


class Blob(msgspec.Struct, frozen=True):
    """The bytes of a blob of the project's cache, or of an earlier trial."""

    sha256: str
    executable: bool = False


class OnDisk(msgspec.Struct, frozen=True):
    """The bytes of a file; ``path`` is absolute."""

    path: str


class Bytes(msgspec.Struct, frozen=True):
    """Bytes as they are."""

    data: bytes
    executable: bool = False


class Absent(msgspec.Struct, frozen=True):
    """No file."""


Base: TypeAlias = Workspace | Commit
Content: TypeAlias = Blob | OnDisk | Bytes | Absent


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial executes, and with what."""

    kind: TrialKind
    tasks: tuple[TaskName, ...]
    """What is executed; tasks above them are too, unless ``alone`` is set."""
    base: Base = Workspace()
    """The files that the copy begins with."""
    files: Mapping[ProjectPath, Content] = {}
    """What is put over them: inputs, modules, notebooks."""
    given: Mapping[TaskName, Record] = {}
    """The results of tasks that are not executed: their outputs are put into the copy where blobs of them are
    left, and `upstream()` reads what they logged."""
    alone: bool = False
    """Whether nothing above ``tasks`` is executed; all that they need is then ``given``."""
    parameters: Mapping[TaskName, Mapping[str, Value]] = {}
    """Parameters of single tasks, in place of what the pipeline says; names and paths stay as they are."""
    overrides: Mapping[str, Value] = {}
    """Parameters of all tasks, as with ``-p``."""
    profiles: tuple[str, ...] = ()
    reuse: bool = True
    """Whether a result of an earlier trial with the same key is taken."""
    lend: bool = False
    """Whether results in the project's own cache are taken too."""
    sandboxed: bool = True
    """Whether tasks see only what they declare."""
    passed: frozenset[str] = frozenset()
    """Environment variables that tasks see besides those of the machine."""
    variables: Mapping[str, str] = {}
    """Environment variables that are set for them."""
    same: Mapping[TaskName, tuple[Ingredient, ...]] = {}
    """What tasks must consist of: one that does not, there, is not executed, and counts as ``given``."""
    notes: str = ""
    """The file that notes what has ended, if any: what is noted there is not executed again."""
    timeout: float | None = None
    """Seconds for the whole trial."""


TriedStatus: TypeAlias = TaskStatus | Literal["other"]
"""That of a task in a run; ``other``: it is not what the order says it must be, and was not executed."""


class TriedTask(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one task. ``duration_s`` is of its attempts."""

    status: TriedStatus
    record: Record | None = None
    """Of a task that was executed or was a hit."""
    failure: str = ""
    """How it failed, in one line."""
    other: tuple[str, ...] = ()
    """What of it is not what it must be."""
    duration_s: float = 0.0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an order."""

    run_id: str = ""
    """Its run, in the runs of trials; empty where nothing could begin."""
    problem: str = ""
    """Why nothing could begin, or why it was ended."""
    tasks: Mapping[TaskName, TriedTask] = {}

    @property
    def executed(self) -> int:
        """How many tasks were executed, successfully or not."""
        return sum(task.status in {"ran", "failed"} for task in self.tasks.values())


def metrics_of(record: Record) -> dict[str, float]:
    """Return the metrics that a task logged, as numbers."""
    return {name: float(value) for name, value in record.logged.metrics.items()}
