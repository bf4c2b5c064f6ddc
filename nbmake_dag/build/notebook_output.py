"""`notebook_output`: a copy of the executed notebook, kept current.

The copy carries a checksum in its metadata, by which a later build tells its own file from one that a person wrote
or changed: those bytes become a blob before they are overwritten.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from typing import Any

import msgspec

from nbmake_dag.build.outcome import Kept, TaskOutcome
from nbmake_dag.core.model import Notebook, Task
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.notebook import UnreadableNotebookError
from nbmake_dag_reporting.notebook import CellMismatchError, encode_notebook

_LARGEST = 256 << 20


def with_notebook_output(outcome: TaskOutcome, task: Task, project: Project, blobs: BlobStore) -> TaskOutcome:
    """Bring the copy of a task that has a result up to date; what was kept, or went wrong, joins the outcome."""
    path, record, source = task.policy.notebook_output, outcome.record, outcome.notebook_source
    if path is None or record is None or record.cells is None or source is None:
        return outcome
    if not isinstance(task.work, Notebook):
        return outcome
    from nbmake_dag.build.executed import executed_notebook  # noqa: PLC0415 - takes 0.3 s, for few tasks

    try:
        kept = msgspec.json.decode(blobs.read(record.cells, _LARGEST))
        text = blobs.read(source, _LARGEST)
        document = executed_notebook(text, task.work.path, kept, record, task.parameters)
        replaced = _write(project.absolute(path), document, blobs)
    except (BlobError, OSError, CellMismatchError, UnreadableNotebookError) as error:
        return dataclasses.replace(outcome, warnings=(*outcome.warnings, f"{path} was not written: {error}"))
    if replaced is None:
        return outcome
    return dataclasses.replace(outcome, kept=(*outcome.kept, Kept(path=path, sha256=replaced)))


def _write(place: str, document: dict[str, Any], blobs: BlobStore) -> str | None:
    """Write a document unless it is there; return the blob of what was there and was not ours."""
    data = encode_notebook(_sealed(document))
    present = None
    with contextlib.suppress(FileNotFoundError), open(place, "rb") as file:
        present = file.read()
    if present == data:
        return None
    kept = None if present is None or _is_ours(present) else blobs.put_bytes(present).sha256
    os.makedirs(os.path.dirname(place), exist_ok=True)
    temporary = f"{place}.new"
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, place)
    return kept


def _sealed(document: dict[str, Any]) -> dict[str, Any]:
    metadata = {**document["metadata"], "nbdag": {"checksum": _checksum(document)}}
    return {**document, "metadata": metadata}


def _is_ours(data: bytes) -> bool:
    """Say whether a file is a copy that nobody changed, also if Jupyter has saved it since."""
    try:
        document = json.loads(data)
        seal = document["metadata"].pop("nbdag")
        return bool(seal == {"checksum": _checksum(document)})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _checksum(document: dict[str, Any]) -> str:
    return digest_text(encode_notebook(document).decode())
