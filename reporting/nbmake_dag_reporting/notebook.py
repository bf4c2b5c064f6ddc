"""The executed notebook: the current text of its source, with the outputs from a record.

Outputs are kept by index among the cells that count, so an edit of markdown or comments does not part them from
their cells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

INJECTED = "injected-parameters"


class CellMismatchError(ValueError):
    """A source and outputs that do not belong together: the numbers of cells that count differ."""


class SourceCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as its author wrote it; ``counted`` is its place among the cells whose outputs a record keeps."""

    kind: str
    source: str
    counted: int | None = None
    metadata: Mapping[str, Any] = {}
    attachments: Mapping[str, Any] = {}
    identifier: str | None = None


class SourceNotebook(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook without results; parameters are injected after ``parameters_index``, or before the first cell."""

    cells: tuple[SourceCell, ...]
    metadata: Mapping[str, Any] = {}
    parameters_index: int | None = None


def merge(
    source: SourceNotebook, kept: Sequence[Mapping[str, Any]], injected: str | None = None
) -> dict[str, Any]:
    """Make a document of nbformat 4; ``injected`` is the code of the cell that papermill would add.

    Raises `CellMismatchError`.
    """
    counted = sum(cell.counted is not None for cell in source.cells)
    if counted != len(kept):
        raise CellMismatchError(
            f"the notebook has {counted} cells that count, the outputs that are kept are those of {len(kept)}"
        )
    cells = [_merged(index, cell, kept) for index, cell in enumerate(source.cells)]
    if injected is not None:
        position = 0 if source.parameters_index is None else source.parameters_index + 1
        cells.insert(position, _code(INJECTED, injected, {"tags": [INJECTED]}, {}))
    return {"cells": cells, "metadata": dict(source.metadata), "nbformat": 4, "nbformat_minor": 5}


def encode_notebook(document: Mapping[str, Any]) -> bytes:
    """Write a document as Jupyter does: long texts as lists of lines, keys sorted, indented by one."""
    lined = {**document, "cells": [_lined_cell(cell) for cell in cells_of(document)]}
    text = json.dumps(lined, ensure_ascii=False, indent=1, sort_keys=True)
    return f"{text}\n".encode("utf-8", "backslashreplace")


def joined(value: Any) -> str:
    """Join what nbformat allows to be a list of lines."""
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Take what is no mapping for an empty one: a notebook may come from anybody."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def listed(value: Any) -> Sequence[Any]:
    """Take what is no list for an empty one."""
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()


def cells_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the cells of a notebook, each at its place: what is no cell is one without anything."""
    return [mapping(cell) for cell in listed(mapping(document).get("cells"))]


def outputs_of(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the outputs of a cell, likewise."""
    return [mapping(output) for output in listed(cell.get("outputs"))]


def is_injected(cell: Mapping[str, Any]) -> bool:
    """Whether a cell holds the parameters of a run, and is not of the source."""
    return INJECTED in listed(mapping(cell.get("metadata")).get("tags"))


def _merged(index: int, cell: SourceCell, kept: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    identifier = cell.identifier or f"cell-{index}"
    if cell.kind == "code":
        return _code(
            identifier, cell.source, cell.metadata, {} if cell.counted is None else mapping(kept[cell.counted])
        )
    document = {
        "cell_type": cell.kind,
        "id": identifier,
        "metadata": dict(cell.metadata),
        "source": cell.source,
    }
    return {**document, "attachments": dict(cell.attachments)} if cell.attachments else document


def _code(identifier: str, source: str, metadata: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": left.get("execution_count"),
        "id": identifier,
        "metadata": dict(metadata),
        "outputs": list(listed(left.get("outputs"))),
        "source": source,
    }


def _lined_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    lined = {**cell, "source": _lines(cell.get("source", ""))}
    if "outputs" in cell:
        lined["outputs"] = [_lined_output(output) for output in outputs_of(cell)]
    return lined


def _lined_output(output: Mapping[str, Any]) -> dict[str, Any]:
    lined = dict(output)
    if "text" in lined:
        lined["text"] = _lines(lined["text"])
    if "data" in lined:
        lined["data"] = {
            media_type: value if media_type.endswith("json") else _lines(value)
            for media_type, value in mapping(lined["data"]).items()
        }
    return lined


def _lines(text: Any) -> Any:
    return text.splitlines(keepends=True) if isinstance(text, str) else text
