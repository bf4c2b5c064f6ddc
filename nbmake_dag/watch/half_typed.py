"""Notebooks with a cell that is not Python yet, because somebody is in the middle of typing it."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable

from nbmake_dag.core.model import Notebook, TaskName
from nbmake_dag.engine.prepare import Prepared
from nbmake_dag.observe.kernels import Kernel
from nbmake_dag_cache.cells import executable
from nbmake_dag_cache.notebook import NotebookSource, UnreadableNotebookError, read_notebook
from nbmake_dag_reporting.cell_ref import CellRef


def half_typed(prepared: Prepared, names: Iterable[TaskName]) -> dict[TaskName, str]:
    """Return those of some tasks whose notebooks do not parse, with the place and the reason.

    Only a kernel of this Python, or of an older one, is certain to fail there as well.
    """
    found: dict[TaskName, str] = {}
    for name in names:
        task = prepared.graph.tasks[name]
        if isinstance(task.work, Notebook) and _is_judged_here(prepared.survey.kernel(task)):
            counted = {cell.index for cell in prepared.survey.notebook(task.work).cells}
            if reason := _reason(os.path.join(prepared.project.root, task.work.path), task.work.form, counted):
                found[name] = f"{task.work.path}, {reason}"
    return found


def _is_judged_here(kernel: Kernel | None) -> bool:
    version = kernel.python.rpartition(" ")[2].split(".") if kernel else []
    return (
        len(version) == 2 and all(map(str.isdigit, version)) and tuple(map(int, version)) <= sys.version_info[:2]
    )


def _reason(path: str, form: str, counted: set[int]) -> str:
    """Return where a notebook does not parse, and why; nothing if it does, or can no longer be read."""
    try:
        with open(path, "rb") as file:
            source: NotebookSource = read_notebook(file.read(), path, form)
    except (OSError, UnreadableNotebookError):
        return ""
    for index, cell in enumerate(source.cells):
        if index in counted and not cell.may_raise:
            code = executable(cell.source)
            if code.tree is None:
                return f"{CellRef(index)}{_error(code.text)}"
    return ""


def _error(text: str) -> str:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return f", line {error.lineno}: {error.msg}" if error.lineno else f": {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f": {error}"
    return " does not parse"
