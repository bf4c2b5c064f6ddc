"""Compare two files that should have the same content: by their bytes, lines, values or pixels.

What is wrong with a file that cannot be read is a difference, too. The first difference is named where it is:
a line, a row and a column, a place in a document or a picture.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias, assert_never

from nbmake_dag.core.model import CompareRule
from nbmake_dag.core.vocabulary import CompareKind

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\b(?:nan|inf|infinity)\b", re.IGNORECASE)
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Same:
    """Nothing differs that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """Something differs by no more than is allowed; ``most`` says by how much at most, and where."""

    most: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """Something differs; ``where`` names the first, with both values."""

    where: str


Comparison: TypeAlias = Same | Within | Differs


class MissingLibraryError(Exception):
    """A file can only be read with a library that is not installed; the message names it."""


def compare(before: bytes, after: bytes, path: str, rule: CompareRule) -> Comparison:
    """Compare what was recorded with what was made again; ``path`` tells the format by its extension."""
    if before == after:
        return Same()
    match rule.how:
        case "bytes":
            return Differs(where=_where(before, after, path))
        case "text":
            return _lines(before, after)
        case "numeric":
            return _values(before, after, path, rule)
        case "image":
            return _pixels(before, after, rule)
        case _:
            assert_never(rule.how)


def _where(before: bytes, after: bytes, path: str) -> str:
    """Describe the first difference of files whose bytes differ, as precisely as their format allows."""
    form = _form_of(path)
    how: CompareKind = "image" if form == "image" else "text" if form == "text" else "numeric"
    found: Comparison = Same()
    if form not in {"text", "table", "json", "json lines"} or (_is_text(before) and _is_text(after)):
        with contextlib.suppress(MissingLibraryError):
            found = compare(before, after, path, CompareRule(how=how))
    match found:
        case Differs(where=where):
            return where
        case Same() | Within():
            place = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
            at = min(len(before), len(after)) if place is None else place
            return f"byte {at + 1} of {len(before)}"
        case _:
            assert_never(found)


def _form_of(path: str) -> str:
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


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


# lines


def _lines(before: bytes, after: bytes) -> Comparison:
    for number, (a, b) in enumerate(zip_longest(_stripped(before), _stripped(after)), 1):
        if a != b:
            return Differs(where=f"line {number}: {_shown(a)} → {_shown(b)}")
    return Same()


def _stripped(data: bytes) -> list[str]:
    lines = [line.rstrip() for line in data.decode("utf-8", "replace").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


# values


@dataclass(slots=True)
class _Tolerance:
    """Compares values one by one, and remembers by how much they differed at most."""

    rule: CompareRule
    most: float = 0.0
    place: str = ""

    def differs(self, before: object, after: object, place: str) -> bool:
        a, b = _number(before), _number(after)
        if a is None or b is None:
            return before != after or isinstance(before, bool) != isinstance(after, bool)
        if a == b or (math.isnan(a) and math.isnan(b)):
            return False
        distance = abs(a - b)
        if not distance <= self.rule.atol + self.rule.rtol * abs(a):
            return True
        if distance > self.most:
            self.most, self.place = distance, place
        return False

    def result(self) -> Comparison:
        return Within(most=f"by {self.most:.3g} at most, {self.place}") if self.place else Same()


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None


def _values(before: bytes, after: bytes, path: str, rule: CompareRule) -> Comparison:
    tolerance = _Tolerance(rule)
    read = _READERS[_form_of(path)]
    try:
        old = read(before, path)
    except ValueError as error:
        return Differs(where=f"what was recorded cannot be read: {error}")
    try:
        new = read(after, path)
    except ValueError as error:
        return Differs(where=f"it cannot be read: {error}")
    for difference in _unequal(old, new, "", tolerance):
        return Differs(where=difference)
    return tolerance.result()


def _unequal(before: Any, after: Any, place: str, tolerance: _Tolerance) -> Iterator[str]:
    """Yield what differs between two values made of tables, lists, texts and numbers."""
    if isinstance(before, _Table) and isinstance(after, _Table):
        yield from _unequal_tables(before, after, tolerance)
    elif isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            if name not in tolerance.rule.ignored:
                at = f"{place}.{name}" if place else str(name)
                yield from _unequal(before.get(name, _NOTHING), after.get(name, _NOTHING), at, tolerance)
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{place or 'it'} has {len(after)} items, and had {len(before)}"
        for number, (a, b) in enumerate(zip(before, after, strict=False)):
            yield from _unequal(a, b, f"{place}[{number}]", tolerance)
    elif tolerance.differs(before, after, place):
        yield f"{place}: {_shown(before)} → {_shown(after)}" if place else f"{_shown(before)} → {_shown(after)}"


class _Nothing:
    """In the place of a value that is not there."""

    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


@dataclass(frozen=True, slots=True)
class _Table:
    """Columns by name, in their order."""

    columns: Mapping[str, list[Any]]


def _unequal_tables(before: _Table, after: _Table, tolerance: _Tolerance) -> Iterator[str]:
    old, new = (
        {name: column for name, column in table.columns.items() if name not in tolerance.rule.ignored}
        for table in (before, after)
    )
    if list(old) != list(new):
        yield f"the columns are {_shown(', '.join(new))}, and were {_shown(', '.join(old))}"
        return
    sizes = [max((len(column) for column in table.values()), default=0) for table in (old, new)]
    if sizes[0] != sizes[1]:
        yield f"it has {sizes[1]} rows, and had {sizes[0]}"
        return
    for row in range(sizes[0]):
        for name in old:
            yield from _unequal(old[name][row], new[name][row], f"row {row + 1}, column `{name}`", tolerance)


def _read_table(data: bytes, path: str) -> _Table:
    separator = "\t" if path.lower().endswith(".tsv") else ","
    rows = [*csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline=""), delimiter=separator)]
    head, *body = rows or [[]]
    names = [name if head.index(name) == number else f"{name}#{number + 1}" for number, name in enumerate(head)]
    width = max(map(len, rows), default=0)
    names += [f"#{number + 1}" for number in range(len(names), width)]
    return _Table({name: [row[at] if at < len(row) else "" for row in body] for at, name in enumerate(names)})


def _read_json(data: bytes, _path: str) -> Any:
    return json.loads(data)


def _read_json_lines(data: bytes, _path: str) -> Any:
    return [json.loads(line) for line in data.decode().splitlines() if line.strip()]


def _read_text(data: bytes, _path: str) -> Any:
    """Return the words of each line, with the numbers apart from the text around them."""
    return {
        f"line {number}": [piece for piece in _pieces(line) if piece]
        for number, line in enumerate(_stripped(data), 1)
    }


def _pieces(line: str) -> Iterator[str]:
    at = 0
    for match in _NUMBER.finditer(line):
        yield line[at : match.start()].strip()
        yield match[0]
        at = match.end()
    yield line[at:].strip()


def _read_parquet(data: bytes, _path: str) -> _Table:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingLibraryError("Parquet files are compared with pyarrow (the extra `compare`)") from error
    try:
        table = parquet.read_table(io.BytesIO(data))
    except (ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    return _Table({str(name): table.column(at).to_pylist() for at, name in enumerate(table.column_names)})


def _read_numpy(data: bytes, path: str) -> Any:
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingLibraryError("NumPy files are compared with numpy (the extra `compare`)") from error
    try:
        # nothing is unpickled
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        arrays = dict(loaded) if path.lower().endswith(".npz") else {"": loaded}
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from error
    return {
        name: {"shape": list(array.shape), "dtype": str(array.dtype), "values": array.tolist()}
        for name, array in arrays.items()
    }


_READERS: Mapping[str, Callable[[bytes, str], Any]] = {
    "table": _read_table,
    "json": _read_json,
    "json lines": _read_json_lines,
    "parquet": _read_parquet,
    "numpy": _read_numpy,
    "text": _read_text,
    "image": _read_text,
}


# pixels


def _pixels(before: bytes, after: bytes, rule: CompareRule) -> Comparison:
    try:
        from PIL import Image, ImageChops, UnidentifiedImageError  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingLibraryError("pictures are compared with pillow (the extra `compare`)") from error
    try:
        old, new = (Image.open(io.BytesIO(data)).convert("RGBA") for data in (before, after))
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        return Differs(where=f"it cannot be read as a picture: {error}")
    if old.size != new.size:
        return Differs(where=f"it is {new.width} by {new.height}, and was {old.width} by {old.height}")
    difference = ImageChops.difference(old, new)
    most = max(high for _, high in difference.getextrema())  # type: ignore[misc]
    if not most:
        return Same()
    box = difference.convert("RGB").getbbox() or difference.getchannel("A").getbbox() or (0, 0, 0, 0)
    where = f"in the pixels from ({box[0]}, {box[1]}) to ({box[2] - 1}, {box[3] - 1})"
    if most <= rule.atol:
        return Within(most=f"by {most} of 255 at most, {where}")
    return Differs(where=f"by {most} of 255 at most, {where}")


def _shown(value: object) -> str:
    """Write a value in a few characters."""
    text = value if isinstance(value, str) else "nothing" if value is None else repr(value)
    text = " ".join(text.split()) or "nothing"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
