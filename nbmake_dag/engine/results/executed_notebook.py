"""A task's executed notebooks: those of its attempts or, for a hit, the source with the stored outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from nbmake_dag_cache.identity import NotebookIdentity, identify
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.notebook import SourceCell, SourceNotebook, merge
from nbmake_dag_reporting.run import TaskRun


def executed_notebooks(recorded: Recorded, task: TaskRun) -> dict[int, dict[str, Any]]:
    """Return the notebooks of a task by the attempts that left them, and that of a hit as attempt 0.

    Raises `CellMismatchError` where the outputs of a hit do not fit its source.
    """
    if task.attempts:
        found = {attempt.number: _read(recorded, attempt.notebook) for attempt in task.attempts}
        # outputs may hold NaN, which only this reader accepts
        return {number: json.loads(data) for number, data in found.items() if data is not None}
    source, kept = _read(recorded, task.notebook_source), _read(recorded, task.cells)
    document = recorded.record(task.record.own_key, task.record.key) if task.record else None
    if source is None or kept is None or document is None or task.path is None:
        return {}
    return {
        0: executed_notebook(source, task.path, msgspec.json.decode(kept), document.get("injected"), task.form)
    }


def executed_notebook(
    source: bytes, path: str, kept: Sequence[Mapping[str, Any]], injected: str | None, form: str = ""
) -> dict[str, Any]:
    """Merge the outputs of a record, and the code that was injected, into a source.

    Raises `CellMismatchError`, `UnreadableNotebookError`.
    """
    return merge(_source(source, path, form)[0], kept, injected)


def counted_cells(recorded: Recorded, name: str) -> tuple[CellRef, ...]:
    """Return the cells of a task that count; nothing if its source is gone."""
    task = recorded.run.tasks[name]
    source = _read(recorded, task.notebook_source)
    if source is None or task.path is None:
        return ()
    with suppress(UnreadableNotebookError):
        return tuple(CellRef(cell.index) for cell in _source(source, task.path, task.form)[1].cells)
    return ()


@lru_cache(maxsize=1024)
def _source(source: bytes, path: str, form: str) -> tuple[SourceNotebook, NotebookIdentity]:
    """Read a source, which all hits of a report may share."""
    notebook = read_notebook(source, path, form)
    identity = identify(notebook)
    counted = {cell.index: number for number, cell in enumerate(identity.cells)}
    shown = SourceNotebook(
        cells=tuple(
            SourceCell(
                kind=cell.kind,
                source=cell.source,
                counted=counted.get(index),
                metadata=cell.metadata,
                attachments=cell.attachments,
                identifier=cell.identifier,
            )
            for index, cell in enumerate(notebook.cells)
        ),
        metadata=notebook.metadata,
        parameters_index=notebook.parameters_index,
    )
    return shown, identity


def _read(recorded: Recorded, blob: str | None) -> bytes | None:
    return None if blob is None else recorded.blob(blob)
