"""Paired notebooks: the ``.ipynb`` files that Jupytext pairs with a text, kept in step with it."""

from __future__ import annotations

import os
from typing import Any

import nbformat
from jupytext.combine import combine_inputs_with_outputs

from nbmake_dag.editor.source_text import own_cells, rewritten
from nbmake_dag.observe.pairs import config_of, paired_files
from nbmake_dag_cache.notebook import UnreadableNotebookError, jupytext_notebook, read_notebook


def paired_notebooks(path: str, text: str, repository: str, known: str | None = None) -> tuple[str, ...]:
    """Return the notebooks that exist and that Jupytext pairs with the text at ``path``.

    The metadata of either file count, and configuration files in the ``repository``; ``known`` is a notebook that
    the pipeline names.
    """
    beside = f"{os.path.splitext(path)[0]}.ipynb"
    found = _paired(path, text, repository)
    for candidate in dict.fromkeys(filter(None, (known, beside))):
        try:
            with open(candidate, encoding="utf-8") as file:
                if path in _paired(candidate, file.read(), repository):
                    found.append(candidate)
        except (OSError, UnicodeDecodeError):
            continue
    return tuple(dict.fromkeys(each for each in found if each.endswith(".ipynb") and os.path.exists(each)))


def _paired(path: str, text: str, repository: str) -> list[str]:
    """Return the files that a notebook is paired with, itself among them."""
    try:
        notebook = read_notebook(text.encode(), path)
        config = None if notebook.formats else config_of(os.path.dirname(path), repository)
        return paired_files(path, notebook.language, notebook.formats, config)
    except (UnreadableNotebookError, ValueError):
        return []


def in_step(text: str, before: str, after: str, path: str, form: str, copy: str) -> str | None:
    """Return the text of a paired notebook after its source went from ``before`` to ``after``.

    Outputs are kept, and those of cells that were executed in the ``copy`` are taken over. ``None`` where the
    notebook had been edited on its own: nothing in it may be lost.
    """
    extension = os.path.splitext(path)[1]
    notebook: Any = nbformat.reads(text, 4)  # type: ignore[no-untyped-call]
    if _cells(notebook) != _cells(jupytext_notebook(before, extension, form)):
        return None
    source = jupytext_notebook(after, extension, form)
    combined: Any = combine_inputs_with_outputs(source, notebook, fmt=extension)
    executed = {cell.source: cell for cell in own_cells(nbformat.reads(copy, 4)) if cell.get("outputs")}  # type: ignore[no-untyped-call]
    for cell in combined.cells:
        if cell.cell_type == "code" and (done := executed.get(cell.source)):
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
    notebook.cells = combined.cells
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)
    return rewritten(text, notebook)


def _cells(notebook: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source.strip()) for cell in notebook.cells]
