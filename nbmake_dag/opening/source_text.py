"""The text of a notebook's source after its cells were edited elsewhere: what was injected is left out."""

from __future__ import annotations

import os
from typing import Any

import jupytext
import nbformat

from nbmake_dag.execute.notebook_source import INJECTED, identified

SETUP = "nbdag-setup"
"""The tag of the cell that makes an editor's kernel work where the task does."""


def edited_source(source: str, path: str, copy: str) -> str:
    """Return ``source`` with the cells of the ``.ipynb`` text ``copy``; the rest of the file stays as it is.

    ``path`` tells the format of the source. An ``.ipynb`` source takes the outputs over too, and keeps those of
    cells that were neither edited nor executed.
    """
    cells = [cell for cell in nbformat.reads(copy, 4).cells if not _is_ours(cell)]  # type: ignore[no-untyped-call]
    if path.endswith(".ipynb"):
        notebook = nbformat.reads(source, 4)  # type: ignore[no-untyped-call]
        _keep_outputs([cell for cell in notebook.cells if not _is_ours(cell)], cells)
        notebook.cells = cells
        # of which cells have an id
        notebook.nbformat_minor = max(notebook.nbformat_minor, 5)
        return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]
    extension = os.path.splitext(path)[1]
    notebook = jupytext.reads(source, fmt=extension)
    notebook.cells = cells
    form = notebook.metadata["jupytext"]["text_representation"]["format_name"]
    return str(jupytext.writes(notebook, fmt=f"{extension}:{form}"))


def _keep_outputs(before: list[Any], after: list[Any]) -> None:
    known = {identified(index, cell.get("id")): cell for index, cell in enumerate(before)}
    for cell in after:
        old = known.get(cell.id)
        executed = cell.get("outputs") or cell.get("execution_count")
        if old and not executed and old.source == cell.source and old.cell_type == cell.cell_type == "code":
            cell.outputs, cell.execution_count = old.outputs, old.execution_count


def _is_ours(cell: Any) -> bool:
    return not {INJECTED, SETUP}.isdisjoint(cell.metadata.get("tags", ()))
