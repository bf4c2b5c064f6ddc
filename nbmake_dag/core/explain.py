"""The ingredients of a task's result, and those that changed since an earlier result."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.lookup import present_trace, task_keys
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Verdict
from nbmake_dag.core.reasons import Change, changes, own_changes
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.record import Record


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The ingredients of now, and their differences to those of ``before``, the most telling first."""

    verdict: Verdict
    ingredients: tuple[Ingredient, ...]
    before: Record | None
    changes: tuple[Change, ...]
    results: Mapping[TaskName, Result]
    """Those of all tasks that need not run."""
    waits_for: tuple[TaskName, ...] = ()
    """Tasks above that must run first: until then only own ingredients are known and compared."""


def explain(
    name: TaskName,
    graph: Graph,
    facts: Facts,
    verdicts: Mapping[TaskName, Verdict],
    *,
    before: Record | None,
    modules: Mapping[str, str],
) -> Explanation:
    """Explain a task of a plan; ``modules`` has the digests of those that the trace of ``before`` names."""
    verdict = verdicts[name]
    records = {
        other: found.record for other, found in verdicts.items() if isinstance(found, (UpToDate, Restorable))
    }
    results = {other: result_of(record, graph.tasks[other].parameters) for other, record in records.items()}
    waits_for = tuple(other for other in graph.upstream[name] if other not in records)
    then = before.ingredients if before else ()
    if name in records:
        now = records[name].ingredients
    elif waits_for:
        now = facts.own
    else:
        used = before.trace if before else ()
        known = task_keys(name, graph, facts, results).ingredients
        now = (*known, *present_trace(name, used, graph, modules, results))
    found = own_changes(then, now, graph.makes_input_of(name)) if waits_for else changes(then, now)
    return Explanation(
        verdict=verdict,
        ingredients=now,
        before=before,
        changes=found if before else (),
        results=results,
        waits_for=waits_for,
    )
