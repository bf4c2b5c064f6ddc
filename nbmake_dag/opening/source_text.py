"""The text of a notebook's source after its cells were edited elsewhere: what was injected is left out."""

from __future__ import annotations

import os
from typing import Any

import jupytext
import nbformat

from nbmake_dag.execute.notebook_source import INJECTED

SETUP = "nbdag-setup"
"""The tag of the cell that makes an editor's kernel work where the task does."""


def edited_source(source: str, path: str, copy: str) -> str:
    """Return ``source`` with the cells of the ``.ipynb`` text ``copy``; the rest of the file stays as it is.

    ``path`` tells the format of the source. An ``.ipynb`` source takes the outputs over too.
    """
    cells = [cell for cell in nbformat.reads(copy, 4).cells if not _is_ours(cell)]  # type: ignore[no-untyped-call]
    if path.endswith(".ipynb"):
        notebook = nbformat.reads(source, 4)  # type: ignore[no-untyped-call]
        notebook.cells = cells
        return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]
    extension = os.path.splitext(path)[1]
    notebook = jupytext.reads(source, fmt=extension)
    notebook.cells = cells
    form = notebook.metadata["jupytext"]["text_representation"]["format_name"]
    return str(jupytext.writes(notebook, fmt=f"{extension}:{form}"))


def _is_ours(cell: Any) -> bool:
    return not {INJECTED, SETUP}.isdisjoint(cell.metadata.get("tags", ()))
