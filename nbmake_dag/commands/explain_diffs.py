"""The lines behind what changed: code of cells, and values of tasks above."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from nbmake_dag.core.explain import Explanation
from nbmake_dag.core.facts import logged_values
from nbmake_dag.core.lookup import literal
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.reasons import Change
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_reporting.run import Run


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
        now = _counted_cells(file.read(), task.work.path)
    before = _counted_cells(old, task.work.path)
    return {change: _cell_diff(change, before, now) for change in changed}


def value_diffs(explanation: Explanation, then: Run | None) -> dict[Change, tuple[str, ...]]:
    """Return what values of tasks above were and are, where the run of before is still there.

    Of artefacts nothing is said but that they changed.
    """
    found: dict[Change, tuple[str, ...]] = {}
    if then is None:
        return found
    for change in explanation.changes:
        if change.kind != "read":
            continue
        task, kind, name = msgspec.json.decode(change.name, type=tuple[str, str, str | None])
        if name is None or kind == "artifacts" or task not in then.tasks or task not in explanation.results:
            continue
        before = getattr(then.tasks[task], kind)
        now = logged_values(explanation.results[TaskName(task)], kind)
        found[change] = (*_value("-", before, name), *_value("+", now, name))
    return found


def _value(sign: str, values: Mapping[str, Any], name: str) -> Iterator[str]:
    if name in values:
        yield f"{sign}{literal(values[name])}"


def _cell_diff(change: Change, before: list[str], now: list[str]) -> tuple[str, ...]:
    place = int(change.name) - 1
    old = before[place].splitlines() if change.before is not None and place < len(before) else []
    new = now[place].splitlines() if change.now is not None and place < len(now) else []
    return tuple(difflib.unified_diff(old, new, lineterm="", n=2))[2:]


def _counted_cells(data: bytes, path: str) -> list[str]:
    """Return the code of the cells that count; a notebook may have had another format before."""
    is_json = data.lstrip().startswith(b"{")
    if is_json != path.endswith(".ipynb"):
        path = "notebook.ipynb" if is_json else "notebook.py"
    with suppress(UnreadableNotebookError):
        notebook = read_notebook(data, path)
        return [notebook.cells[cell.index].source for cell in identify(notebook).cells]
    return []
