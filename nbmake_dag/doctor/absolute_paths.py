"""Absolute paths in notebooks, which are valid on one machine only."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator

from nbmake_dag.core.model import Notebook, Task
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.cells import executable
from nbmake_dag_cache.notebook import NotebookSource, read_notebook

_ABSOLUTE = re.compile(r"(?P<top>/[\w.-]+)/[^\n:*?]+|~/[^\n]+|[A-Za-z]:[\\/][^\n]+")
_EVERYWHERE = frozenset({"/bin", "/dev", "/etc", "/proc", "/sys", "/usr"})


def absolute_paths(project: Project, tasks: Iterable[Task]) -> list[Complaint]:
    """Complain about absolute paths in the string literals of Python notebooks."""
    paths = {task.work.path: task.work.form for task in tasks if isinstance(task.work, Notebook)}
    return [complaint for path, form in paths.items() for complaint in _in_notebook(project, path, form)]


def _in_notebook(project: Project, path: str, form: str) -> Iterator[Complaint]:
    with open(project.absolute(path), "rb") as file:
        data = file.read()
    notebook = read_notebook(data, path, form)
    text = "" if path.endswith(".ipynb") else data.decode("utf-8-sig")
    for index, literal, line in _literals(notebook):
        if _is_absolute(literal):
            cell = notebook.cells[index].source
            start = text.find(cell) if cell else -1
            place = f"{path}:{text.count(chr(10), 0, start) + line}" if start >= 0 else f"{path}, cell {index + 1}"
            inside = os.path.relpath(literal, project.root)
            hint = "write it relative to pipeline.toml, or make it a parameter"
            if not inside.startswith(".."):
                hint = f"write `{inside}`, which is relative to pipeline.toml"
            yield Complaint(what=f"`{literal}` is an absolute path", place=place, hint=hint)


def _literals(notebook: NotebookSource) -> Iterator[tuple[int, str, int]]:
    """Yield each string with the index of its cell, and its line in the cell."""
    for index, cell in enumerate(notebook.cells):
        if cell.is_executed and notebook.language == "python":
            for _, tree in executable(cell.source).modules:
                for node in ast.walk(tree):
                    match node:
                        case ast.Constant(value=str(text)):
                            yield index, text, node.lineno
                        case _:
                            pass


def _is_absolute(text: str) -> bool:
    """Return whether a text is an absolute path, not the route of a URL: its first folder is on this machine."""
    match = _ABSOLUTE.fullmatch(text)
    if match is None:
        return False
    top = match["top"]
    return top is None or (top not in _EVERYWHERE and os.path.isdir(top))
