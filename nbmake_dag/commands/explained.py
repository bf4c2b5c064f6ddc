"""Gathers what `nbdag explain` says: the plan's verdict, its ingredients, and the lines behind what changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from nbmake_dag.build.prepare import Prepared, Stores, prepare
from nbmake_dag.build.request import Request
from nbmake_dag.commands.explain_diffs import cell_diffs, value_diffs
from nbmake_dag.commands.recorded import reach, recorded_in, task_of
from nbmake_dag.core.explain import Explanation, explain
from nbmake_dag.core.model import Task, TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.core.reasons import Change
from nbmake_dag.core.targets import select
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An explanation with what it needs to be said."""

    task: Task
    explanation: Explanation
    cells: tuple[int, ...]
    """The place in the file of each cell that counts, from 0."""
    against: str | None
    """The run that was asked for; ``None`` compares with the last result."""
    diffs: Mapping[Change, tuple[str, ...]]
    """The lines of cells, and the values, that changed, where the old ones are still known."""


def explained(project: Project, target: str, against: Recorded | None) -> Explained:
    """Explain one task as it is now; raises `UsageError`, `ConfigError`."""
    stores = Stores.open(project)
    try:
        prepared = prepare(project, Request(targets=(target,)), stores)
        name = _only_one(prepared, target)
        facts = prepared.facts[name]
        before = _record_in(against, name) if against else facts.previous
        traced = (item.name for item in before.ingredients if item.kind == "module") if before else ()
        modules = prepared.survey.module_digests(traced)
    finally:
        stores.close()
    verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    explanation = explain(name, prepared.graph, facts, verdicts, before=before, modules=modules)
    task = prepared.graph.tasks[name]
    return Explained(
        task=task,
        explanation=explanation,
        cells=facts.cells,
        against=against.run.id if against else None,
        diffs={
            **cell_diffs(task, explanation, project, against.blob if against else reach(project)[1]),
            **value_diffs(explanation, against.run if against else _run_of(project, explanation)),
        },
    )


def _run_of(project: Project, explanation: Explanation) -> Run | None:
    """Read the run that made the result that is compared with, if its record is still there."""
    if explanation.before is not None:
        with suppress(UsageError):
            return recorded_in(project, explanation.before.origin.run_id).run
    return None


def _only_one(prepared: Prepared, target: str) -> TaskName:
    names = [name for name in prepared.whole.order if name in select(prepared.whole, (target,))]
    if len(names) > 1:
        raise UsageError(f"`{target}` is {len(names)} tasks", (), f"name one of them: {', '.join(names[:20])}")
    return names[0]


def _record_in(recorded: Recorded, name: TaskName) -> Record:
    """Return the result that a task had in a run; raises `UsageError` where it had none, or it is gone."""
    task = task_of(recorded, name)
    if task.record is None:
        raise UsageError(f"{name} has no result in run {recorded.run.id}: it is {task.status} there")
    found = recorded.record(task.record.own_key, task.record.key)
    if found is None:
        raise UsageError(f"the result of {name} in run {recorded.run.id} is no longer in the cache")
    return msgspec.convert(found, Record)
