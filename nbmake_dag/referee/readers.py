"""Read files as what can be compared: lines, tables, documents, arrays and the frames of pictures."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\b(?:nan|inf|infinity)\b", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")

DEEP = ("I", "F")
"""How the modes begin whose pixels are no bytes."""


class MissingLibraryError(Exception):
    """A file can only be read with a library that is not installed; the message names it."""


class DamagedError(Exception):
    """A file is not what its name promises."""


class Table(msgspec.Struct, frozen=True):
    """Columns by name, in their order."""

    columns: Mapping[str, list[Any]]


def form_of(path: str) -> str:
    """Return the format of a file, which its extension tells."""
    extension = path.lower().rpartition("/")[2].rpartition(".")[2]
    return _FORMS.get(extension, "text")


_FORMS = {
    **dict.fromkeys(("csv", "tsv"), "table"),
    **dict.fromkeys(("json", "geojson", "ipynb"), "json"),
    **dict.fromkeys(("jsonl", "ndjson"), "json lines"),
    **dict.fromkeys(("parquet", "pq"), "parquet"),
    **dict.fromkeys(("npy", "npz"), "numpy"),
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff"), "image"),
}


def read_values(data: bytes, path: str) -> Any:
    """Return the content of a file as tables, lists, texts and numbers; raises `DamagedError`."""
    try:
        return _READERS[form_of(path)](data, path)
    except MissingLibraryError:
        raise
    except Exception as error:
        # what a library raises for content that is not what its name promises is nowhere written down
        raise DamagedError(str(error) or type(error).__name__) from error


def lines_of(data: bytes) -> list[str]:
    """Return lines without what ends them and blanks before that."""
    # two bytes that are no UTF-8 stay two different ones
    text = data.decode("utf-8", "surrogateescape")
    lines = [line.rstrip() for line in _LINE_END.split(text)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _read_table(data: bytes, path: str) -> Table:
    separator = "\t" if path.lower().endswith(".tsv") else ","
    csv.field_size_limit(sys.maxsize)
    text = data.decode("utf-8", "surrogateescape")
    rows = [*csv.reader(io.StringIO(text, newline=""), delimiter=separator)]
    head, *body = rows or [[]]
    names = _distinct(head)
    width = max(map(len, rows), default=0)
    names += [f"#{number + 1}" for number in range(len(names), width)]
    return Table({name: [row[at] if at < len(row) else "" for row in body] for at, name in enumerate(names)})


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names of columns, with a number after one that is there already."""
    return [name if names.index(name) == place else f"{name}#{place + 1}" for place, name in enumerate(names)]


def _read_json(data: bytes, _path: str) -> Any:
    return json.loads(data)


def _read_json_lines(data: bytes, _path: str) -> Any:
    return [json.loads(line) for line in data.decode().splitlines() if line.strip()]


def _read_text(data: bytes, _path: str) -> Any:
    """Return the words of each line, with the numbers apart from the text around them."""
    return {
        f"line {number}": [piece for piece in _pieces(line) if piece]
        for number, line in enumerate(lines_of(data), 1)
    }


def _pieces(line: str) -> Iterator[str]:
    at = 0
    for match in NUMBER.finditer(line):
        yield line[at : match.start()].strip()
        yield match[0]
        at = match.end()
    yield line[at:].strip()


def _read_parquet(data: bytes, _path: str) -> Table:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingLibraryError("Parquet files are compared with pyarrow (the extra `compare`)") from error
    # unlike `read_table`, it knows columns of the same name
    table = parquet.ParquetFile(io.BytesIO(data)).read()
    names = _distinct([*map(str, table.column_names)])
    return Table({name: _plain(table.column(place)) for place, name in enumerate(names)})


def _plain(column: Any) -> list[Any]:
    """Return the values of a column; for nanoseconds Python has no type, so these are texts or numbers."""
    kind = str(column.type)
    if kind.startswith(("timestamp[ns", "time64[ns", "duration[ns")):
        column = column.cast("int64" if kind.startswith("duration") else "string")
    values: list[Any] = column.to_pylist()
    return values


def _read_numpy(data: bytes, path: str) -> Any:
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingLibraryError("NumPy files are compared with numpy (the extra `compare`)") from error
    # nothing is unpickled
    loaded = np.load(io.BytesIO(data), allow_pickle=False)
    arrays = dict(loaded) if path.lower().endswith(".npz") else {"": loaded}
    return {
        name: {"shape": list(array.shape), "dtype": str(array.dtype), "values": _parts(array).tolist()}
        for name, array in arrays.items()
    }


def _parts(array: Any) -> Any:
    """Return an array, with complex numbers as two numbers each."""
    return array.ravel().view(array.real.dtype) if array.dtype.kind == "c" else array


_READERS: Mapping[str, Callable[[bytes, str], Any]] = {
    "table": _read_table,
    "json": _read_json,
    "json lines": _read_json_lines,
    "parquet": _read_parquet,
    "numpy": _read_numpy,
    "text": _read_text,
    "image": _read_text,
}


def read_frames(data: bytes) -> list[Any]:
    """Return the frames of a picture: of an animation more than one."""
    try:
        from PIL import Image, ImageSequence  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingLibraryError("pictures are compared with pillow (the extra `compare`)") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                return [
                    frame.copy() if frame.mode.startswith(DEEP) else frame.convert("RGBA")
                    for frame in ImageSequence.Iterator(image)
                ]
    except Exception as error:
        # as for other files
        raise DamagedError(str(error) or type(error).__name__) from error
