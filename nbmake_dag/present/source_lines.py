"""Locate a line of a notebook's cell in the notebook's file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_reporting.cell_ref import CellRef


def line_in_file(data: bytes, path: str, cell: CellRef, line: int, form: str = "") -> int | None:
    """Return the line, from 1, of line ``line`` of a cell; ``None`` where it is not found.

    Cells are looked for one after the other, since neither Jupytext nor nbformat reports their lines.
    """
    try:
        cells = read_notebook(data, path, form).cells
    except UnreadableNotebookError:
        return None
    bare: Callable[[str], str] = _quoted if path.endswith(".ipynb") else _uncommented
    file = [bare(text) for text in data.decode("utf-8-sig").splitlines()]
    start = end = 0
    for each in cells[: cell.number]:
        wanted = [text.strip() if bare is _quoted else _uncommented(text) for text in each.source.splitlines()]
        found = _find(file, wanted, end)
        if found is not None:
            start, end = found, found + len(wanted)
        elif each.kind == "code":
            return None
    return start + line if line <= end - start and cell.index < len(cells) else None


def _find(file: Sequence[str], wanted: Sequence[str], start: int) -> int | None:
    last = len(file) - len(wanted)
    return next((at for at in range(start, last + 1) if file[at : at + len(wanted)] == wanted), None)


def _uncommented(line: str) -> str:
    """Take the comment mark away that Jupytext puts before Markdown and magics."""
    return line.strip().lstrip("#/ ")


def _quoted(line: str) -> str:
    """Read a line of a cell's source from its line of JSON; any other line is nothing that a cell has."""
    try:
        text = json.loads(line.strip().removeprefix('"source":').removesuffix(","))
    except ValueError:
        return "\0"
    return text.strip() if isinstance(text, str) else "\0"
