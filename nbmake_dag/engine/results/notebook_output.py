"""`notebook_output`: a copy of the executed notebook, kept current, as a notebook or as an HTML page.

The copy carries a checksum, by which a later build distinguishes its own file from one that a person wrote or
changed. Such bytes become a blob that is never collected before they are overwritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any

import msgspec

from nbmake_dag.core.model import Notebook, ProjectPath, Task
from nbmake_dag.engine.state.rescued_files import SecretFileError, note_rescued
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RescuedFile, TaskOutcome
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.digest import digest_bytes, digest_text
from nbmake_dag_cache.layout import temporary_in
from nbmake_dag_cache.notebook import UnreadableNotebookError
from nbmake_dag_reporting.html import notebook_page
from nbmake_dag_reporting.notebook import CellMismatchError, encode_notebook

_LARGEST = 256 << 20
_SEAL = re.compile(rb"<!-- nbdag: ([0-9a-f]{32}) ([0-9a-f]{32}) -->")


def with_notebook_output(
    outcome: TaskOutcome, task: Task, project: Project, blobs: BlobStore, redactor: Redactor
) -> TaskOutcome:
    """Bring the copy of a task that has a result up to date; add a rescued file or a warning to the outcome."""
    path, record, source = task.policy.notebook_output, outcome.record, outcome.notebook_source
    if path is None or record is None or record.cells is None or source is None:
        return outcome
    if not isinstance(task.work, Notebook):
        return outcome
    from nbmake_dag.engine.results.executed_notebook import executed_notebook  # noqa: PLC0415 - takes 0.3 s, for few tasks

    try:
        outputs = msgspec.json.decode(blobs.read(record.cells, _LARGEST))
        text = blobs.read(source, _LARGEST)
        document = executed_notebook(text, task.work.path, outputs, record.injected, task.work.form)
        rescued = _write(project, path, document, task.name, blobs, redactor)
    except (BlobError, OSError, CellMismatchError, UnreadableNotebookError, SecretFileError) as error:
        return msgspec.structs.replace(outcome, warnings=(*outcome.warnings, f"{path} was not written: {error}"))
    return msgspec.structs.replace(outcome, rescued=(*outcome.rescued, *rescued))


def _write(
    project: Project, path: ProjectPath, document: dict[str, Any], title: str, blobs: BlobStore, redactor: Redactor
) -> tuple[RescuedFile, ...]:
    """Write a document unless it is there; return what was there and was not ours."""
    place = project.absolute(path)
    present = None
    with contextlib.suppress(FileNotFoundError), open(place, "rb") as file:
        present = file.read()
    is_page = place.endswith(".html")
    if is_page and present is not None and _seal_of(present) == _checksum(document):
        return ()
    data = _page(document, title) if is_page else encode_notebook(_sealed(document))
    if present == data:
        return ()
    is_ours = present is not None and (_seal_of(present) is not None if is_page else _is_ours(present))
    rescued: tuple[RescuedFile, ...] = ()
    if present is not None and not is_ours:
        if name := redactor.name_in_data(present):
            raise SecretFileError(f"it holds the value of {name}, and is not as nbdag left it")
        rescued = (RescuedFile(path=path, sha256=blobs.put_bytes(present).sha256),)
        note_rescued(project, rescued)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    temporary = temporary_in(os.path.dirname(place))
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, place)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return rescued


def _page(document: dict[str, Any], title: str) -> bytes:
    """Return a page as nbconvert makes it where it is installed and can, else our own; sealed by its last line."""
    try:
        from nbconvert import HTMLExporter  # noqa: PLC0415 - takes a second, and need not be there
        from nbformat import from_dict  # noqa: PLC0415 - as slow

        node = from_dict(document)  # type: ignore[no-untyped-call]
        page, _ = HTMLExporter().from_notebook_node(node, {"metadata": {"name": title}})  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - it refuses notebooks in many ways, of which ours shows the rest
        from markdown_it import MarkdownIt  # noqa: PLC0415 - for such pages alone

        page = notebook_page(document, title, MarkdownIt("js-default").render)
    data = page.rstrip().encode("utf-8", "replace")
    seal = f"\n<!-- nbdag: {_checksum(document)} {digest_bytes(data)} -->\n"
    return data + seal.encode()


def _seal_of(data: bytes) -> str | None:
    """Return the checksum of the notebook that a page shows; ``None`` for a page that nbdag did not write."""
    page, _, last = data.rstrip(b"\n").rpartition(b"\n")
    found = _SEAL.fullmatch(last)
    return found[1].decode() if found and found[2].decode() == digest_bytes(page) else None


def _sealed(document: dict[str, Any]) -> dict[str, Any]:
    metadata = {**document["metadata"], "nbdag": {"checksum": _checksum(document)}}
    return {**document, "metadata": metadata}


def _is_ours(data: bytes) -> bool:
    """Return whether a notebook is an unchanged copy, even if Jupyter has saved it since."""
    try:
        document = json.loads(data)
        seal = document["metadata"].pop("nbdag")
        return bool(seal == {"checksum": _checksum(document)})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _checksum(document: dict[str, Any]) -> str:
    return digest_text(encode_notebook(document).decode())
