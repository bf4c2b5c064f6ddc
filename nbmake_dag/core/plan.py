"""The plan, known before anything runs: each task is up to date, stale, or undecided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from nbmake_dag.core.decide import (
    Decision,
    Restorable,
    Rules,
    Stale,
    UpToDate,
    because_of,
    decide,
    standing_reason,
    without_result,
)
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.reasons import own_changes


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """A task that runs only if what the stale tasks above it produce is not what it was."""

    upstream: tuple[TaskName, ...]
    is_unknown: bool = False
    """It stands for instances that are known when ``upstream`` has ended."""


Verdict: TypeAlias = Decision | Undecided


def plan(graph: Graph, facts: Mapping[TaskName, Facts], rules: Rules) -> dict[TaskName, Verdict]:
    """Decide about every task of a graph, in its order."""
    verdicts: dict[TaskName, Verdict] = {}
    results: dict[TaskName, Result] = dict(rules.left_out)
    for name in graph.order:
        waiting = tuple(other for other in graph.upstream[name] if other not in results)
        verdict = (
            _undecided(name, waiting, graph, facts[name], rules)
            if waiting or graph.tasks[name].is_unknown
            else decide(name, graph, facts[name], results, rules)
        )
        if isinstance(verdict, (UpToDate, Restorable)):
            results[name] = result_of(verdict.record, graph.tasks[name].parameters)
        verdicts[name] = verdict
    return verdicts


def _undecided(
    name: TaskName, waiting: tuple[TaskName, ...], graph: Graph, facts: Facts, rules: Rules
) -> Stale | Undecided:
    """Mark a task as waiting for others, unless it must run regardless of their results."""
    task = graph.tasks[name]
    if task.is_unknown:
        return Undecided(upstream=waiting or graph.upstream[name], is_unknown=True)
    if standing := standing_reason(task, rules):
        reason, code = standing
        return Stale(reasons=(reason,), keys=None, codes=(code,))
    if facts.records or any(graph.tasks[other].is_unknown for other in graph.upstream[name]):
        return Undecided(upstream=waiting)
    if facts.previous is None:
        return without_result(facts, None)
    found = own_changes(facts.previous.ingredients, facts.own, graph.makes_input_of(name))
    return because_of(found, task, facts, None)
