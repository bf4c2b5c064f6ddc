"""Gather what `nbdag explain` reports: the verdict, its ingredients, and the lines behind what changed."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.explain import Explanation, explain
from nbmake_dag.core.facts import logged_values
from nbmake_dag.core.lookup import literal
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.core.reasons import Change
from nbmake_dag.core.targets import select
from nbmake_dag.core.vocabulary import ReadKind
from nbmake_dag.engine.prepare import Prepared, prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.undeclared import undeclared_files
from nbmake_dag.engine.state.previous_results import LastFailure
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import UndeclaredFile
from nbmake_dag.runs.find import reach, recorded_in, task_of
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.cell_ref import CellRef, order_of
from nbmake_dag_reporting.run import Run


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """An explanation with the facts needed to present it."""

    task: Task
    explanation: Explanation
    cells: tuple[CellRef, ...]
    """The place in the file of each cell that counts, from 0."""
    against: str | None
    """The run that was asked for; ``None`` compares with the last result."""
    made_in: Run | None
    """The run that made the result that is compared with, if it is recorded here."""
    failed: LastFailure | None
    """How it failed, if it has had no result since."""
    undeclared: tuple[UndeclaredFile, ...]
    """The files that its last result depends on without being declared."""
    diffs: Mapping[Change, tuple[str, ...]]
    """The lines of cells, and the values, that changed, where the old ones are still known."""


def explained(project: Project, target: str, against: Recorded | None) -> Explained:
    """Explain one task as it is now; raises `UsageError`, `ConfigError`."""
    stores = Stores.open(project)
    try:
        request = Request(targets=(target,))
        prepared = prepare(project, request, stores)
        name = _only_one(prepared, target)
        if prepared.graph.tasks[name].is_unknown:
            with suppress(UsageError):
                # as they were last; one that is new is not among them
                last = prepare(project, request, stores, by_last=True)
                prepared, name = last, _only_one(last, target)
        facts = prepared.facts[name]
        before = _record_in(against, name) if against else facts.previous
        traced = (item.name for item in before.ingredients if item.kind == "module") if before else ()
        modules = prepared.survey.module_digests(traced)
        failed = stores.previous.failure(name)
        verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
        verdict = verdicts[name]
        counts = verdict.record if isinstance(verdict, (UpToDate, Restorable)) else facts.previous
        undeclared = undeclared_files(project, stores.files, prepared.graph, {name: counts}).get(name, ())
    finally:
        stores.close()
    explanation = explain(name, prepared.graph, facts, verdicts, before=before, modules=modules)
    task = prepared.graph.tasks[name]
    made_in = _run_of(project, explanation)
    return Explained(
        task=task,
        explanation=explanation,
        cells=facts.cells,
        against=against.run.id if against else None,
        made_in=made_in,
        failed=failed,
        undeclared=undeclared,
        diffs={
            **cell_diffs(task, explanation, project, against.blob if against else reach(project)[1]),
            **value_diffs(explanation, against.run if against else made_in),
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
        raise UsageError(
            f"`{target}` stands for {len(names)} tasks",
            (),
            f"name one of them: {', '.join(map(shlex.quote, names[:20]))}",
        )
    return names[0]


def _record_in(recorded: Recorded, name: TaskName) -> Record:
    """Return the result of a task in a run; raises `UsageError` where there is none, or no longer one."""
    task = task_of(recorded, name)
    if task.record is None:
        raise UsageError(f"{name} has no result in run {recorded.run.id}: it is {task.status} there")
    found = recorded.record(task.record.own_key, task.record.key)
    if found is None:
        raise UsageError(f"the result of {name} in run {recorded.run.id} is no longer in the cache")
    return msgspec.convert(found, Record)


def cell_diffs(
    task: Task, explanation: Explanation, project: Project, blob: Callable[[str], bytes | None]
) -> dict[Change, tuple[str, ...]]:
    """Return the lines of cells that changed, where the old notebook is still a blob."""
    changed = [change for change in explanation.changes if change.kind == "cell"]
    source = explanation.before.source if explanation.before else None
    old = blob(source) if changed and source else None
    if old is None or not isinstance(task.work, Notebook):
        return {}
    with open(project.absolute(task.work.path), "rb") as file:
        now = _counted_cells(file.read(), task.work)
    before = _counted_cells(old, task.work)
    return {change: _cell_diff(change, before, now) for change in changed}


def value_diffs(explanation: Explanation, then: Run | None) -> dict[Change, tuple[str, ...]]:
    """Return what values of tasks above were and are, where the run of before is still there.

    For artefacts only the change itself is reported.
    """
    found: dict[Change, tuple[str, ...]] = {}
    if then is None:
        return found
    for change in explanation.changes:
        if change.kind != "read":
            continue
        task, kind, name = msgspec.json.decode(change.name, type=tuple[str, ReadKind, str | None])
        if kind == "tasks" or name is None or task not in then.tasks or task not in explanation.results:
            continue
        if kind == "artifacts":
            continue
        before = getattr(then.tasks[task], kind)
        now = logged_values(explanation.results[TaskName(task)], kind)
        found[change] = (*_value("-", before, name), *_value("+", now, name))
    return found


def _value(sign: str, values: Mapping[str, Any], name: str) -> Iterator[str]:
    if name in values:
        yield f"{sign}{literal(values[name])}"


def _cell_diff(change: Change, before: list[str], now: list[str]) -> tuple[str, ...]:
    place = order_of(change.name) - 1
    old = before[place].splitlines() if change.before is not None and place < len(before) else []
    new = now[place].splitlines() if change.now is not None and place < len(now) else []
    return tuple(difflib.unified_diff(old, new, lineterm="", n=2))[2:]


def _counted_cells(data: bytes, work: Notebook) -> list[str]:
    """Return the code of the cells that count; the notebook may have been in another format before."""
    path, form = str(work.path), work.form
    is_json = data.lstrip().startswith(b"{")
    if is_json != path.endswith(".ipynb"):
        form = ""
        path = "notebook.ipynb" if is_json else "notebook.py"
    with suppress(UnreadableNotebookError):
        notebook = read_notebook(data, path, form)
        return [notebook.cells[cell.index].source for cell in identify(notebook).cells]
    return []
