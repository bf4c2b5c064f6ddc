"""Rows of a file of data: one instance of a task for each."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
import tomli

from nbmake_dag.config.lines import MAX_DEPTH, TooDeepError, scan
from nbmake_dag.config.values import convert_text, shortened
from nbmake_dag.core.model import Value
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.core.vocabulary import ValueType

EXTENSIONS = (".csv", ".json", ".jsonl", ".toml")


class RowsError(ValueError):
    """A file has no rows that can be read; ``what`` goes on from "`data/x.csv` …"."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint


class Row(msgspec.Struct, frozen=True):
    """The values of one row, and where it is, as "row 3" or "line 4"."""

    values: dict[str, Value]
    place: str


def read_rows(path: str, data: bytes, types: Mapping[str, ValueType]) -> list[Row]:
    """Read the rows of a file by its extension; raises `RowsError`. Only the columns of CSV have ``types``."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RowsError(f"is not UTF-8, in line {line}", "save it as UTF-8") from None
    extension = path[path.rfind(".") :]
    if types and extension != ".csv":
        raise RowsError("has types of its own", "leave `types` out: it is for CSV and for the names of files")
    match extension:
        case ".csv":
            return list(_csv(text, types))
        case ".json":
            return list(_tables(_json(text, "")))
        case ".jsonl":
            lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
            return [
                Row(_table(_json(line, f", in line {number}"), f"line {number}"), f"line {number}")
                for number, line in lines
            ]
        case _:
            return list(_tables(_toml(text)))


def _csv(text: str, types: Mapping[str, ValueType]) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next((line for line in reader if line), None)
        if header is None:
            raise RowsError("has no line with the names of its columns", "its first line names them: `city,year`")
        names = [name.strip() for name in header]
        if twice := [name for name in names if names.count(name) > 1]:
            raise RowsError(f"has two columns `{twice[0]}`", "give each a name of its own")
        if unknown := [name for name in types if name not in names]:
            raise RowsError(f"has no column `{unknown[0]}`, which `types` names", did_you_mean(unknown[0], names))
        for line in reader:
            if not line:
                continue
            place = f"line {reader.line_num}"
            if len(line) != len(names):
                values, columns = _count(len(line), "value"), _count(len(names), "column")
                hint = "a value with a comma in it stands in quotes"
                raise RowsError(f"has {values} for {columns} in {place}", hint)
            yield Row(
                {
                    name: _converted(value, types.get(name, "text"), name, place)
                    for name, value in zip(names, line, strict=True)
                },
                place,
            )
    except csv.Error as error:
        raise RowsError(f"is not CSV, in line {reader.line_num}: {error}") from None


def _converted(text: str, kind: ValueType, column: str, place: str) -> Value:
    try:
        return convert_text(text, kind)
    except ValueError as error:
        raise RowsError(f"has `{shortened(text)}` for `{column}` in {place}, which {error}") from None


class _TwiceError(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


def _refuse_twice(pairs: list[tuple[str, object]]) -> None:
    names = Counter(name for name, _ in pairs)
    if len(names) < len(pairs):
        raise _TwiceError(next(name for name, count in names.items() if count > 1))


_KEYS = json.JSONDecoder(object_pairs_hook=_refuse_twice)
"""Sees the keys that are there twice, which the faster reader does not tell."""


def _json(text: str, place: str) -> object:
    try:
        value = msgspec.json.decode(text)
        _KEYS.decode(text)
        return value
    except _TwiceError as error:
        what = f"has the key `{shortened(error.key)}` twice in one table{place}"
        raise RowsError(what, "a reader of JSON takes either value; leave one out") from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise RowsError(f"is not JSON{place}: {reason[:1].lower()}{reason[1:]}") from None
    except RecursionError:
        raise RowsError(f"is nested deeper than {MAX_DEPTH} levels{place}") from None


def _toml(text: str) -> object:
    try:
        text = text.replace("\r\n", "\n")
        scan(text)
        document = tomli.loads(text)
    except TooDeepError as error:
        raise RowsError(f"is nested deeper than {MAX_DEPTH} levels, in line {error.line}") from None
    except tomli.TOMLDecodeError as error:
        raise RowsError(f"is not TOML, in line {error.lineno}: {error.msg}") from None
    except ValueError:
        raise RowsError("has a number with too many digits") from None
    if len(document) != 1:
        raise RowsError(
            f"has {_count(len(document), 'key')} and not one list of tables",
            "write each row as a table `[[rows]]`",
        )
    return next(iter(document.values()))


def _tables(document: object) -> Iterator[Row]:
    if not isinstance(document, list):
        raise RowsError("has no list of tables", 'write one for each instance: `[{ "city": "oslo" }]`')
    for number, item in enumerate(cast("list[object]", document), 1):
        yield Row(_table(item, f"row {number}"), f"row {number}")


def _table(item: object, place: str) -> dict[str, Value]:
    if not isinstance(item, dict):
        raise RowsError(f"has something other than a table of values in {place}")
    if _depth(cast("dict[str, object]", item)) > MAX_DEPTH:
        raise RowsError(f"is nested deeper than {MAX_DEPTH} levels in {place}")
    return cast("dict[str, Value]", item)


def _depth(item: object) -> int:
    """Return how deep a value is nested, as far as it matters."""
    level, depth = [item], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        below: list[Any] = []
        for value in level:
            below += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        level = below
    return depth


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
