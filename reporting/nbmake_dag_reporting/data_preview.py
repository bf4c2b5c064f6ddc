"""What is in a file of data, as the site shows and compares it: shape, types, figures of each column, first rows.

CSV, TSV, JSON and JSON Lines are read by the standard library; Parquet needs pyarrow, NumPy's files need numpy.
The size of a preview does not grow with the file's.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec

from nbmake_dag_reporting.numbers import spelled

Preview: TypeAlias = dict[str, Any]

LARGEST: Final = 64 << 20
"""Bytes of a file that is looked at."""
_LARGEST_UNPACKED = 1 << 30
_MOST_ROWS = 50_000
"""Rows that the figures are of."""
_HEAD = 500
_HEAD_CELLS = 10_000
_MOST_COLUMNS = 100
_LONGEST_TEXT = 120
_BARS = 12
_OFTEN = 5
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".npy": "npy",
    ".npz": "npz",
}
_NEEDS = {"parquet": "pyarrow", "npy": "numpy", "npz": "numpy"}


def is_data(name: str) -> bool:
    return _format(name) is not None


def preview(data: bytes, name: str) -> Preview | None:
    """Look into a file; ``None`` for what is no data of a known kind, or not what its name says."""
    form = _format(name)
    if form is None or len(data) > LARGEST:
        return None
    try:
        found = _read(data, form)
    except ModuleNotFoundError:
        return {"format": form, "needs": _NEEDS[form]}
    except Exception:  # noqa: BLE001 - readers raise whatever they like on content that may come from anybody
        return None
    return None if found is None else {"format": form, **spelled(found)}


def _format(name: str) -> str | None:
    return next((form for end, form in _FORMATS.items() if name.lower().endswith(end)), None)


def _read(data: bytes, form: str) -> Preview | None:
    match form:
        case "csv" | "tsv":
            return _separated(data.decode("utf-8-sig"), "\t" if form == "tsv" else ",")
        case "json":
            return _objects(_rows_of(msgspec.json.decode(data)))
        case "jsonl":
            return _objects([msgspec.json.decode(line) for line in data.splitlines() if line.strip()])
        case "parquet":
            return _parquet(data)
        case _:
            return _arrays(data, form)


def _separated(text: str, separator: str) -> Preview | None:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    head = next(reader, None)
    if not head:
        return None
    rows = [row for row in islice(reader, _MOST_ROWS) if row]
    more = sum(1 for row in reader if row)
    columns = [
        [_typed(row[place]) if place < len(row) else None for row in rows]
        for place in range(min(len(head), _MOST_COLUMNS))
    ]
    return _table(head, columns, len(rows) + more)


def _typed(text: str) -> Any:
    if text == "":
        return None
    try:
        return int(text) if len(text) < 19 else float(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _rows_of(value: Any) -> list[Any] | None:
    """Find the rows in a JSON value: a list of objects, a frictionless data resource, or columns of one length."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or not value:
        return None
    lists = list(value.values())
    if all(isinstance(column, list) and len(column) == len(lists[0]) for column in lists):
        return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]
    return None


def _objects(rows: list[Any] | None) -> Preview | None:
    if not rows or not all(isinstance(row, dict) for row in rows):
        return None
    names = list(dict.fromkeys(name for row in rows[:_MOST_ROWS] for name in row))
    columns = [[row.get(name) for row in rows[:_MOST_ROWS]] for name in names[:_MOST_COLUMNS]]
    return _table([str(name) for name in names], columns, len(rows))


def _parquet(data: bytes) -> Preview:
    parquet: Any = import_module("pyarrow.parquet")
    file = parquet.ParquetFile(io.BytesIO(data))
    names = list(file.schema_arrow.names)
    batches = file.iter_batches(batch_size=_MOST_ROWS, columns=names[:_MOST_COLUMNS])
    batch = next(iter(batches), None)
    columns = [[_plain(item) for item in column.to_pylist()] for column in batch.columns] if batch else []
    found = _table(names, columns, file.metadata.num_rows)
    for column, field in zip(found["columns"], file.schema_arrow, strict=False):
        column["type"] = str(field.type)
    return found


def _arrays(data: bytes, form: str) -> Preview | None:
    numpy: Any = import_module("numpy")
    loaded = numpy.load(io.BytesIO(data), allow_pickle=False)
    if form == "npz":
        if sum(packed.file_size for packed in loaded.zip.infolist()) > _LARGEST_UNPACKED:
            return None
        return {"arrays": {name: _array(numpy, loaded[name]) for name in islice(loaded, _MOST_COLUMNS)}}
    return {"arrays": {"": _array(numpy, loaded)}}


def _array(numpy: Any, array: Any) -> Preview:
    flat = array.reshape(-1)
    step = max(1, flat.size // _MOST_ROWS)
    figures = _figures("", [_plain(item) for item in flat[::step][:_MOST_ROWS].tolist()])
    found = {"shape": list(array.shape), "column": {**figures, "type": str(array.dtype)}}
    if array.ndim in (1, 2) and array.dtype.names is None:
        head = array[:20, :20] if array.ndim == 2 else array[:20].reshape(1, -1)
        found["head"] = [[_plain(item) for item in row] for row in numpy.asarray(head).tolist()]
    return found


def _plain(item: Any) -> Any:
    """Return a value as JSON has it: dates, decimals and what is nested become texts."""
    if item is None or isinstance(item, bool | int | float):
        return item
    return item if isinstance(item, str) else str(item)


def _table(names: Sequence[str], columns: Sequence[Sequence[Any]], rows: int) -> Preview:
    names, columns, left_out = names[:_MOST_COLUMNS], columns[:_MOST_COLUMNS], len(names) - _MOST_COLUMNS
    read = len(columns[0]) if columns else 0
    shown = min(read, _HEAD, max(1, _HEAD_CELLS // max(1, len(columns))))
    found: Preview = {
        "rows": rows,
        "columns": [_figures(name, column) for name, column in zip(names, columns, strict=False)],
        "head": [[_short(column[place]) for column in columns] for place in range(shown)],
    }
    if read < rows:
        found["read"] = read
    if left_out > 0:
        found["leftOut"] = left_out
    return found


def _short(item: Any) -> Any:
    item = _plain(item)
    return f"{item[:_LONGEST_TEXT]}…" if isinstance(item, str) and len(item) > _LONGEST_TEXT else item


def _figures(name: str, values: Sequence[Any]) -> Preview:
    known = [item for item in values if item is not None]
    found: Preview = {"name": name, "type": _type(known), "missing": len(values) - len(known)}
    numbers = [_float(item) for item in known if isinstance(item, int | float) and not isinstance(item, bool)]
    if numbers and len(numbers) == len(known):
        return found | _of_numbers(numbers) | {"different": len(set(numbers))}
    counts = Counter(_short(item) for item in known)
    return found | {
        "different": len(counts),
        "often": [[item, count] for item, count in counts.most_common(_OFTEN)],
    }


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.copysign(math.inf, number)


def _type(known: Iterable[Any]) -> str:
    kinds = {"boolean" if isinstance(item, bool) else _KINDS.get(type(item), "nested") for item in known}
    if kinds == {"integer", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "mixed" if kinds else "empty"


_KINDS: Mapping[type, str] = {int: "integer", float: "number", str: "text"}


def _of_numbers(numbers: Sequence[float]) -> Preview:
    finite = [item for item in numbers if math.isfinite(item)]
    found: Preview = {"notFinite": len(numbers) - len(finite)} if len(finite) < len(numbers) else {}
    if not finite:
        return found
    least, most = min(finite), max(finite)
    found |= {"least": least, "most": most}
    with suppress(OverflowError):
        mean = math.fsum(finite) / len(finite)
        spread = math.sqrt(math.fsum((item - mean) ** 2 for item in finite) / len(finite))
        found |= {"mean": mean, "spread": spread, "bars": _bars(finite, least, most)}
    return found


def _bars(finite: Iterable[float], least: float, most: float) -> list[int]:
    bars = [0] * _BARS
    width = (most - least) / _BARS or 1.0
    for item in finite:
        bars[min(_BARS - 1, int((item - least) / width))] += 1
    return bars


def files_of(record: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Yield the files of a record's declared outputs: path, sha256, size."""
    for output in record.get("outputs", ()):
        for file in output.get("files", ()):
            yield file["path"], file["sha256"], file["size"]
