"""What can be known before anything runs: each task is up to date, stale, or undecided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from nbmake_dag.core.decide import Decision, Restorable, Rules, Stale, UpToDate, decide, standing_reason
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.reasons import changes, describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """A task that runs only if what the stale tasks above it produce is not what it was."""

    upstream: tuple[TaskName, ...]


Verdict: TypeAlias = Decision | Undecided


def plan(graph: Graph, facts: Mapping[TaskName, Facts], rules: Rules) -> dict[TaskName, Verdict]:
    """Decide about every task of a graph, in its order."""
    verdicts: dict[TaskName, Verdict] = {}
    results: dict[TaskName, Result] = dict(rules.left_out)
    for name in graph.order:
        waiting = tuple(other for other in graph.upstream[name] if other not in results)
        verdict = (
            _undecided(name, waiting, graph, facts[name], rules)
            if waiting
            else decide(name, graph, facts[name], results, rules)
        )
        if isinstance(verdict, (UpToDate, Restorable)):
            results[name] = result_of(verdict.record, graph.tasks[name].parameters)
        verdicts[name] = verdict
    return verdicts


def _undecided(
    name: TaskName, waiting: tuple[TaskName, ...], graph: Graph, facts: Facts, rules: Rules
) -> Stale | Undecided:
    """Say that a task waits for others, unless it must run whatever they produce."""
    task = graph.tasks[name]
    if reason := standing_reason(task, rules):
        return Stale(reasons=(reason,), identity=None)
    if facts.records:
        return Undecided(upstream=waiting)
    if facts.previous is None:
        return Stale(reasons=(facts.unusable or "new: it has no result yet",), identity=None)
    before = (item for item in facts.previous.ingredients if item.stage == "own")
    found = changes(before, facts.own)
    reasons = tuple(describe(change, task, facts.cells) for change in found) or (
        "its record is no longer in the cache",
    )
    return Stale(reasons=reasons, identity=None)
