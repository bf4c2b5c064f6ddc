"""The executed notebooks of a task: what its attempts left, or a hit's kept outputs in the present source."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from nbmake_dag.execute.notebook_source import injected_code
from nbmake_dag_cache.identity import NotebookIdentity, identify
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.bundle import Recorded
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
    record = msgspec.convert(document, Record)
    return {0: executed_notebook(source, task.path, msgspec.json.decode(kept), record, task.params)}


def executed_notebook(
    source: bytes, path: str, kept: list[dict[str, Any]], record: Record, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Merge the outputs of a record into a source; raises `CellMismatchError`, `UnreadableNotebookError`.

    ``parameters`` has the values of those that the record names.
    """
    notebook, identity = _source(source, path)
    values = _injected(record.ingredients, identity, parameters)
    kernel = next((item.value for item in record.ingredients if item.kind == "kernel"), "").split(" ")
    code = injected_code(kernel[0], kernel[1], values) if values else None
    return merge(notebook, kept, code)


def cell_places(recorded: Recorded, name: str) -> tuple[int, ...]:
    """Return the place in the file of each cell of a task that counts, from 0; nothing if it is not known."""
    task = recorded.run.tasks[name]
    source = _read(recorded, task.notebook_source)
    if source is None or task.path is None:
        return ()
    with suppress(UnreadableNotebookError):
        return tuple(cell.index for cell in _source(source, task.path)[1].cells)
    return ()


@lru_cache(maxsize=1024)
def _source(source: bytes, path: str) -> tuple[SourceNotebook, NotebookIdentity]:
    """Read a source, which all hits of a report may share."""
    notebook = read_notebook(source, path)
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


def _injected(
    ingredients: Iterable[Ingredient], identity: NotebookIdentity, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the injected cell assigned, as the ingredients tell it."""
    names: dict[str, list[str]] = {}
    for item in ingredients:
        names.setdefault(item.kind, []).append(item.name)
    values = {name: parameters[name] for name in names.get("parameter", ()) if name in parameters}
    workdir = next((item.value for item in ingredients if item.kind == "workdir"), "./")
    if identity.takes_inputs:
        values["inputs"] = _paths(names, "input", workdir)
    if identity.takes_outputs:
        values["outputs"] = _paths(names, "output", workdir)
    return values


def _paths(names: Mapping[str, list[str]], kind: str, workdir: str) -> Any:
    """Return declared paths by name, or as a list where their labels are places in one; a glob is a list."""
    globs = names.get("glob", []) if kind == "input" else []
    found: dict[str, list[str]] = {label: [] for label in globs}
    for label, path in _labelled(names.get(kind, ()), workdir):
        found.setdefault(label, []).append(path)
    values = {label: sorted(paths) if label in globs else _one(paths) for label, paths in found.items()}
    if kind == "input":
        values |= _labelled(names.get("folder", ()), workdir)
    if all(label.isdecimal() for label in values):
        return [values[label] for label in sorted(values, key=int)]
    return values


def _labelled(texts: Iterable[str], workdir: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        label, _, path = text.partition(": ")
        relative = os.path.relpath(path, workdir)
        yield label, f"{relative}/" if path.endswith("/") else relative


def _one(paths: list[str]) -> str:
    """Return a path; of a folder outside any task, which is known by its files, the folder."""
    return paths[0] if len(paths) == 1 else f"{os.path.commonpath(paths)}/"


def _read(recorded: Recorded, blob: str | None) -> bytes | None:
    return None if blob is None else recorded.blob(blob)
