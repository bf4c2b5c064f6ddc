"""Tables as Tabular Data Resources, the JSON that Jupyter displays, from lists, dicts and frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MEDIA_TYPE = "application/vnd.dataresource+json"
_MISSING = {"NAType", "NaTType"}
"""What pandas has for missing values that are no numbers."""


def table_document(data: Any) -> dict[str, object]:
    """Make ``{"schema": {"fields": [...]}, "data": [row, ...]}``.

    ``data`` is a list of dicts, a dict of lists, or a pandas or polars frame; no library is imported. The
    index of a pandas frame is kept where it has a name.
    """
    columns = _columns(data)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise ValueError("the columns of a table must have the same length")
    return {
        "schema": {"fields": [{"name": name, "type": _type(values)} for name, values in columns.items()]},
        "data": [dict(zip(columns, row)) for row in zip(*columns.values())],
    }


def _columns(data: Any) -> dict[str, list[object]]:
    if isinstance(data, Mapping):
        return _named(data.items())
    if hasattr(data, "to_dicts") and hasattr(data, "columns"):  # polars
        return _named(data.to_dict(as_series=False).items())
    if hasattr(data, "itertuples") and hasattr(data, "columns"):  # pandas
        if any(name is not None for name in data.index.names):
            data = data.reset_index()
        return _named((name, data.iloc[:, place].tolist()) for place, name in enumerate(data.columns))
    if isinstance(data, Sequence) and all(isinstance(row, Mapping) for row in data):
        names = dict.fromkeys(name for row in data for name in row)
        return _named((name, [row.get(name) for row in data]) for name in names)
    raise TypeError(
        f"a table is a list of dicts, a dict of lists, or a pandas or polars frame, not {type(data).__name__}"
    )


def _named(columns: Iterable[tuple[object, Any]]) -> dict[str, list[object]]:
    named: dict[str, list[object]] = {}
    for name, values in columns:
        if isinstance(values, (str, bytes)):
            raise TypeError(f"column {name!r} of a table must be a list, not {type(values).__name__}")
        if str(name) in named:
            raise ValueError(f"a table has two columns named {name!s}")
        named[str(name)] = [plain(value) for value in values]
    return named


def plain(value: Any) -> object:
    """Return what JSON can hold; numpy's values become Python's, missing ones and NaN ``None``, others text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if type(value).__name__ in _MISSING:
        return None
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat else str(value)


def _type(values: list[object]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "integer"
    if kinds and kinds <= {int, float}:
        return "number"
    return "string" if kinds == {str} else "any"
