"""Decide what to do with one task, once the results of all tasks above it are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from nbmake_dag.core.facts import Facts, Result
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.lookup import TaskKeys, find_record, present_trace, task_keys
from nbmake_dag.core.model import ProjectPath, Task, TaskName
from nbmake_dag.core.reasons import Change, changes, describe
from nbmake_dag_cache.record import Record

MAX_REASONS = 20

StaleCode: TypeAlias = Literal[
    "new",
    "record_lost",
    "record_unusable",
    "blob_lost",
    "forced",
    "cache_off",
    "cache_not_read",
    "output_not_stored",
]
"""Why a task is stale other than by an ingredient that changed."""


class UpToDate(msgspec.Struct, frozen=True, kw_only=True):
    """A hit, and every output is in place."""

    record: Record


class Restorable(msgspec.Struct, frozen=True, kw_only=True):
    """A hit whose outputs ``missing`` are not, or not unchanged, in the workspace."""

    record: Record
    missing: tuple[ProjectPath, ...]
    changed: frozenset[ProjectPath] = frozenset()
    """Those of them that are there, with bytes that the task's last result does not have."""
    reasons: tuple[str, ...] = ()
    """What differs from the last result, where that is another one."""
    codes: tuple[str, ...] = ()
    """For each reason the kind of the ingredient that changed."""


class Stale(msgspec.Struct, frozen=True, kw_only=True):
    """A miss. ``keys`` is ``None`` in a plan where something above is not known yet."""

    reasons: tuple[str, ...]
    keys: TaskKeys | None
    codes: tuple[str, ...] = ()
    """For each reason the kind of the ingredient that changed, or one of `StaleCode`."""


Decision: TypeAlias = UpToDate | Restorable | Stale


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The options about hits: which tasks must run, whether records may be used, which tasks are left out."""

    forced: frozenset[TaskName] = frozenset()
    use_records: bool = True
    look_up_records: bool = False
    """Whether a shared cache is asked about each miss."""
    left_out: Mapping[TaskName, Result] = {}
    """The last results of tasks that are needed, and no part of the build."""


def decide(
    name: TaskName, graph: Graph, facts: Facts, results: Mapping[TaskName, Result], rules: Rules
) -> Decision:
    """Decide about a task; results of all tasks above it must be known."""
    task = graph.tasks[name]
    keys = task_keys(name, graph, facts, results)
    if standing := standing_reason(task, rules):
        reason, code = standing
        return Stale(reasons=(reason,), keys=keys, codes=(code,))
    record = find_record(name, keys, graph, facts, results)
    if record is None:
        return _missed(name, keys, graph, facts, results)
    missing = tuple(
        ProjectPath(output.path)
        for output in record.outputs
        if facts.present.get(ProjectPath(output.path)) != output.digest
    )
    if not missing:
        return UpToDate(record=record)
    if record.stored:
        return _restorable(task, record, missing, facts)
    state = "changed" if missing[0] in facts.present else "is gone"
    return Stale(
        reasons=(f"output: {missing[0]} {state}, and not stored",), keys=keys, codes=("output_not_stored",)
    )


def _restorable(task: Task, record: Record, missing: tuple[ProjectPath, ...], facts: Facts) -> Restorable:
    previous = facts.previous
    if previous is None or previous.key == record.key:
        changed = frozenset(path for path in missing if path in facts.present)
        return Restorable(record=record, missing=missing, changed=changed)
    left = {ProjectPath(output.path): output.digest for output in previous.outputs}
    changed = frozenset(path for path in missing if facts.present.get(path, left.get(path)) != left.get(path))
    found = changes(previous.ingredients, record.ingredients)[:MAX_REASONS]
    return Restorable(
        record=record,
        missing=missing,
        changed=changed,
        reasons=tuple(describe(change, task, facts.cells) for change in found),
        codes=tuple(change.kind for change in found),
    )


def standing_reason(task: Task, rules: Rules) -> tuple[str, StaleCode] | None:
    """Return why a task runs regardless of its ingredients, if it does."""
    if task.name in rules.forced:
        return "forced", "forced"
    if not task.policy.cache:
        return "cache = false", "cache_off"
    if not rules.use_records:
        return "the cache is not read", "cache_not_read"
    return None


def without_result(facts: Facts, keys: TaskKeys | None) -> Stale:
    """Decide about a task that has no earlier result to compare with."""
    if facts.unusable:
        return Stale(reasons=(facts.unusable,), keys=keys, codes=("record_unusable",))
    if facts.lost:
        return Stale(reasons=(facts.lost,), keys=keys, codes=("record_lost",))
    return Stale(reasons=("new: it has no result yet",), keys=keys, codes=("new",))


def because_of(found: Sequence[Change], task: Task, facts: Facts, keys: TaskKeys | None) -> Stale:
    """Decide about a task that differs from its last result, or whose result is no longer there."""
    if found:
        reasons = tuple(describe(change, task, facts.cells) for change in found)
        return Stale(reasons=reasons, keys=keys, codes=tuple(change.kind for change in found))
    return Stale(reasons=("its record is no longer in the cache",), keys=keys, codes=("record_lost",))


def _missed(
    name: TaskName, keys: TaskKeys, graph: Graph, facts: Facts, results: Mapping[TaskName, Result]
) -> Stale:
    previous = facts.previous
    if previous is None:
        return without_result(facts, keys)
    trace = tuple(present_trace(name, previous.trace, graph, facts.modules, results))
    found = changes(previous.ingredients, (*keys.ingredients, *trace))
    if not found and facts.unusable:
        return without_result(facts, keys)
    return because_of(found[:MAX_REASONS], graph.tasks[name], facts, keys)
