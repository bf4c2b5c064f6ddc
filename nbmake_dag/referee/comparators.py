"""Compare two files that should have the same content: by their bytes, lines, values or pixels.

What is wrong with a file that cannot be read is a difference, too. The first difference is named where it is:
a line, a row and a column, a place in a document or a picture.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import zip_longest
from typing import Any, TypeAlias, assert_never

import msgspec

from nbmake_dag.core.model import CompareRule
from nbmake_dag.core.vocabulary import CompareKind
from nbmake_dag.referee.readers import (
    DEEP,
    NUMBER,
    DamagedError,
    MissingLibraryError,
    Table,
    form_of,
    lines_of,
    read_frames,
    read_values,
)

_LONGEST = 60
_MOST_DIGITS = 300


class Same(msgspec.Struct, frozen=True):
    """Nothing differs that counts."""


class Within(msgspec.Struct, frozen=True, kw_only=True):
    """Something differs by no more than is allowed; ``most`` says by how much at most, and where."""

    most: str


class Differs(msgspec.Struct, frozen=True, kw_only=True):
    """Something differs; ``where`` names the first, with both values."""

    where: str


Comparison: TypeAlias = Same | Within | Differs


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
    form = form_of(path)
    how: CompareKind = "image" if form == "image" else "text" if form == "text" else "numeric"
    found: Comparison = Same()
    if form not in {"text", "table", "json", "json lines"} or (_is_text(before) and _is_text(after)):
        with contextlib.suppress(MissingLibraryError):
            found = compare(before, after, path, CompareRule(how=how))
    match found:
        case Differs(where=where):
            return where
        case Same() | Within():
            place = next((at for at, (a, b) in enumerate(zip(before, after, strict=False), 1) if a != b), None)
            if place is None:
                return f"it has {len(after)} bytes, and had {len(before)}"
            return f"byte {place} of {len(before)}"
        case _:
            assert_never(found)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


# lines


def _lines(before: bytes, after: bytes) -> Comparison:
    for number, (a, b) in enumerate(zip_longest(lines_of(before), lines_of(after)), 1):
        if a != b:
            return Differs(where=f"line {number}: {_shown(a)} → {_shown(b)}")
    return Same()


# values


class _Tolerance(msgspec.Struct):
    """Compares values one by one, and remembers by how much they differed at most."""

    rule: CompareRule
    most: float = 0.0
    place: str = ""

    def differs(self, before: object, after: object, place: str) -> bool:
        a, b = _number(before), _number(after)
        if a is None or b is None or isinstance(before, str) != isinstance(after, str):
            return before != after or isinstance(before, bool) != isinstance(after, bool)
        if a == b or (math.isnan(a) and math.isnan(b)):
            return False
        # nothing is near to infinity
        if not (math.isfinite(a) and math.isfinite(b)):
            return True
        distance = abs(a - b)
        if not distance <= self.rule.atol + self.rule.rtol * abs(a):
            return True
        if distance > self.most:
            self.most, self.place = distance, place
        return False

    def result(self) -> Comparison:
        return Within(most=f"by {self.most:.3g} at most, {self.place}") if self.place else Same()


def _number(value: object) -> int | float | None:
    """Return a number: whole ones as they are, because a float has no room for those of 16 digits and more."""
    number: int | float
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        number = value
    elif isinstance(value, Decimal):
        number = float(value)
    elif isinstance(value, str) and NUMBER.fullmatch(text := value.strip()):
        number = int(text) if len(text) <= _MOST_DIGITS and text.lstrip("+-").isdecimal() else float(text)
    else:
        return None
    try:
        return number if math.isfinite(number) or not _has_digits(value) else None
    except OverflowError:
        return None


def _has_digits(value: object) -> bool:
    """Whether a value is written with digits: `1e999` is no infinity."""
    return isinstance(value, str) and any(map(str.isdecimal, value))


def _values(before: bytes, after: bytes, path: str, rule: CompareRule) -> Comparison:
    tolerance = _Tolerance(rule)
    try:
        old = read_values(before, path)
    except DamagedError as error:
        return Differs(where=f"what was recorded cannot be read: {error}")
    try:
        new = read_values(after, path)
    except DamagedError as error:
        return Differs(where=f"it cannot be read: {error}")
    try:
        for difference in _unequal(old, new, "", tolerance):
            return Differs(where=difference)
    except RecursionError:
        return Differs(where="its bytes; it is nested too deeply to be compared")
    return tolerance.result()


def _unequal(before: Any, after: Any, place: str, tolerance: _Tolerance) -> Iterator[str]:
    """Yield what differs between two values made of tables, lists, texts and numbers."""
    if isinstance(before, Table) and isinstance(after, Table):
        yield from _unequal_tables(before, after, tolerance)
    elif isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            if name not in tolerance.rule.ignored:
                at = f"{place}.{name}" if place else str(name)
                yield from _unequal(before.get(name, _NOTHING), after.get(name, _NOTHING), at, tolerance)
    elif isinstance(before, (list, tuple)) and isinstance(after, (list, tuple)):
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


def _unequal_tables(before: Table, after: Table, tolerance: _Tolerance) -> Iterator[str]:
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


# pixels


def _pixels(before: bytes, after: bytes, rule: CompareRule) -> Comparison:
    try:
        old, new = read_frames(before), read_frames(after)
    except DamagedError as error:
        return Differs(where=f"it cannot be read as a picture: {error}")
    if len(old) != len(new):
        return Differs(where=f"it has {len(new)} frames, and had {len(old)}")
    found: Comparison = Same()
    for number, (a, b) in enumerate(zip(old, new, strict=True), 1):
        one = _unequal_pixels(a, b, rule, f", of frame {number}" if len(old) > 1 else "")
        if isinstance(one, Differs):
            return one
        found = found if isinstance(found, Within) else one
    return found


def _unequal_pixels(old: Any, new: Any, rule: CompareRule, frame: str) -> Comparison:
    if old.size != new.size:
        return Differs(where=f"it is {new.width} by {new.height}, and was {old.width} by {old.height}{frame}")
    if old.mode != new.mode:
        return Differs(where=f"its pixels are of another kind: {old.mode} → {new.mode}{frame}")
    most, box = _deep(old, new) if old.mode.startswith(DEEP) else _shallow(old, new)
    if not most:
        return Same()
    unit = "" if old.mode.startswith(DEEP) else " of 255"
    where = f"in the pixels from ({box[0]}, {box[1]}) to ({box[2] - 1}, {box[3] - 1}){frame}"
    if most <= rule.atol:
        return Within(most=f"by {most:g}{unit} at most, {where}")
    return Differs(where=f"by {most:g}{unit} at most, {where}")


def _shallow(old: Any, new: Any) -> tuple[float, tuple[int, int, int, int]]:
    """Return by how much bytes of pixels differ at most, and the box around those."""
    from PIL import ImageChops  # noqa: PLC0415 - an extra

    difference = ImageChops.difference(old, new)
    most = max(high for _, high in difference.getextrema())  # type: ignore[misc]
    return most, difference.convert("RGB").getbbox() or difference.getchannel("A").getbbox() or (0, 0, 0, 0)


def _deep(old: Any, new: Any) -> tuple[float, tuple[int, int, int, int]]:
    """Return the same for pixels that are larger numbers."""
    try:
        import numpy as np  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MissingLibraryError("such pictures are compared with numpy (the extra `compare`)") from error
    a, b = (np.asarray(image).astype(np.float64) for image in (old, new))
    with np.errstate(invalid="ignore"):
        distances = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    distances = np.nan_to_num(distances, nan=math.inf)
    rows, columns = np.nonzero(distances)
    if not len(rows):
        return 0.0, (0, 0, 0, 0)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return float(distances.max()), box


def _shown(value: object) -> str:
    """Write a value in a few characters."""
    text = value if isinstance(value, str) else "nothing" if value is None else repr(value)
    text = " ".join(text.encode("utf-8", "backslashreplace").decode().split()) or "nothing"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
