"""What is to be done about one task, once all above it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from nbmake_dag.core.facts import Facts, Result
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.lookup import Identity, find_record, identify, present_trace
from nbmake_dag.core.model import ProjectPath, Task, TaskName
from nbmake_dag.core.reasons import changes, describe
from nbmake_dag_cache.record import Record

MAX_REASONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class UpToDate:
    """A hit, and every output is in place."""

    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorable:
    """A hit whose outputs ``missing`` are not, or not unchanged, in the workspace."""

    record: Record
    missing: tuple[ProjectPath, ...]
    changed: frozenset[ProjectPath] = frozenset()
    """Those of them that are there, with other bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A miss. ``identity`` is ``None`` in a plan where something above is not known yet."""

    reasons: tuple[str, ...]
    identity: Identity | None


Decision: TypeAlias = UpToDate | Restorable | Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the command line says about hits: what must run, whether records may be used, what is left out."""

    forced: frozenset[TaskName] = frozenset()
    use_records: bool = True
    seek_records: bool = False
    """Whether a shared cache is asked about each miss."""
    left_out: Mapping[TaskName, Result] = field(default_factory=dict[TaskName, Result])
    """The last results of tasks that are needed, and no part of the build."""


def decide(
    name: TaskName, graph: Graph, facts: Facts, results: Mapping[TaskName, Result], rules: Rules
) -> Decision:
    """Decide about a task; results of all tasks above it must be known."""
    task = graph.tasks[name]
    identity = identify(name, graph, facts, results)
    if reason := standing_reason(task, rules):
        return Stale(reasons=(reason,), identity=identity)
    record = find_record(name, identity, graph, facts, results)
    if record is None:
        return Stale(reasons=_why(name, identity, graph, facts, results), identity=identity)
    missing = tuple(
        ProjectPath(output.path)
        for output in record.outputs
        if facts.present.get(ProjectPath(output.path)) != output.digest
    )
    if not missing:
        return UpToDate(record=record)
    if record.stored:
        changed = frozenset(path for path in missing if path in facts.present)
        return Restorable(record=record, missing=missing, changed=changed)
    return Stale(reasons=(f"output: {missing[0]} is gone, and not stored",), identity=identity)


def standing_reason(task: Task, rules: Rules) -> str:
    """Say why a task runs whatever its ingredients are, or nothing."""
    if task.name in rules.forced:
        return "forced"
    if not task.policy.cache:
        return "cache = false"
    if not rules.use_records:
        return "the cache is not read"
    return ""


def _why(
    name: TaskName, identity: Identity, graph: Graph, facts: Facts, results: Mapping[TaskName, Result]
) -> tuple[str, ...]:
    previous = facts.previous
    if previous is None:
        return (facts.unusable or "new: it has no result yet",)
    used = tuple((item.kind, item.name) for item in previous.ingredients if item.stage == "trace")
    trace = tuple(present_trace(name, used, graph, facts.modules, results))
    found = changes(previous.ingredients, (*identity.ingredients, *trace))
    if found:
        return tuple(describe(change, graph.tasks[name], facts.cells) for change in found[:MAX_REASONS])
    return (facts.unusable or "its record is no longer in the cache",)
