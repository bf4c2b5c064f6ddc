"""Tables of TOML to the types of `nbmake_dag.config.tables`, with every complaint at once."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.tables import decode
from nbmake_dag.config.values import quoted, shortened

T = TypeVar("T", bound=Struct)

_RENAMED: dict[tuple[str, ...], str] = {("environment",): "the table is called `[software]` now"}
"""What keys of earlier versions were renamed to."""
_ITEM = re.compile(r" - at `\$\[(\d+)\]`$")


def convert(raw: dict[str, Any], kind: type[T], complaints: Complaints, path: tuple[str, ...] = ()) -> T:
    """Convert a table; invalid parts are complained about and left out.

    A well-formed table costs one call of msgspec; keys are looked at one by one only after that failed.
    """
    try:
        return msgspec.convert(raw, kind, dec_hook=decode)
    except msgspec.ValidationError:
        pass
    annotations = _annotations(kind)
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if key in annotations:
            found[key] = _convert_value(value, annotations[key], complaints, (*path, key))
        else:
            table = f" in `{'.'.join(path)}`" if path else ""
            hint = _RENAMED.get((*path, key)) or complaints.suggest(key, tuple(annotations))
            hint = hint or f"known are {', '.join(sorted(annotations))}"
            complaints.add((*path, key), f"unknown key `{shortened(key)}`{table}", hint)
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in raw:
            complaints.add(path, f"`{'.'.join(path)}` has no `{field.name}`", f"add `{field.name} = ...`")
            found[field.name] = UNSET
    return kind(**found)


def shown(value: object) -> str:
    """Describe a value's type, in the words of TOML."""
    match value:
        case bool():
            return "`true`" if value else "`false`"
        case str():
            return f"`{quoted(shortened(value))}`"
        case int() if abs(value) >= 2**64:
            return "a number of more than 64 bits"
        case int() | float():
            return f"`{value}`"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or a time"


@cache
def _annotations(kind: type[Struct]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def _convert_value(value: Any, annotation: Any, complaints: Complaints, path: tuple[str, ...]) -> Any:
    try:
        return msgspec.convert(value, annotation, dec_hook=decode)
    except msgspec.ValidationError as error:
        fault = str(error)
    kinds, expected = _taken_apart(annotation)
    entry = ""
    if isinstance(value, dict):
        for kind in kinds:
            if _is_table(kind):
                return convert(cast("dict[str, Any]", value), kind, complaints, path)
            if get_origin(kind) is dict and _is_table(get_args(kind)[1]):
                return _convert_tables(cast("dict[str, Any]", value), get_args(kind)[1], complaints, path)
            if (table := _table_among(kind)) and _has_tables(cast("dict[str, Any]", value), table):
                return _convert_tables(
                    {name: item for name, item in value.items() if isinstance(item, dict)}, table, complaints, path
                )
    if expected:
        got = shown(value)
        if (item := _ITEM.search(fault)) is not None:
            got = f"a list whose item {int(item[1]) + 1} is {shown(value[int(item[1])])}"
        elif isinstance(value, dict) and (entry := _wrong_entry(cast("dict[str, Any]", value), kinds)):
            got += f" whose entry `{shortened(entry)}` is {shown(value[entry])}"
        fault = f"must be {expected}, not {got}"
    complaints.add((*path, entry) if entry else path, f"`{shortened(path[-1])}` {fault}")
    return UNSET


def _table_among(kind: Any) -> type[Struct] | None:
    """Return the type of table that the values of a table may have, besides others."""
    items = get_args(get_args(kind)[1]) if get_origin(kind) is dict else ()
    return next(filter(_is_table, items), None)


def _has_tables(value: dict[str, Any], kind: type[Struct]) -> bool:
    """Return whether values are tables or texts, and one of the tables is wrong."""
    tables = [item for item in value.values() if isinstance(item, dict)]
    return all(isinstance(item, (str, dict)) for item in value.values()) and not all(
        _fits(item, kind) for item in tables
    )


def _is_table(kind: Any) -> bool:
    """Return whether a type is a table's; one with parameters or an annotation is not a class on every Python."""
    return isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, Struct)


def _wrong_entry(table: dict[str, Any], kinds: tuple[Any, ...]) -> str:
    """Name the first entry that no kind of table takes."""
    items = [get_args(kind)[1] for kind in kinds if get_origin(kind) is dict]
    wrong = (name for name, value in table.items() if items and not any(_fits(value, item) for item in items))
    return next(wrong, "")


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, dec_hook=decode)
    except msgspec.ValidationError:
        return False
    return True


def _convert_tables(
    raw: dict[str, Any], kind: type[Struct], complaints: Complaints, path: tuple[str, ...]
) -> dict[str, Struct]:
    """Convert a table of tables; those with a complaint are left out whole."""
    tables: dict[str, Struct] = {}
    for name, value in raw.items():
        before = len(complaints)
        table = _convert_value(value, kind, complaints, (*path, name))
        if len(complaints) == before:
            tables[name] = table
    return tables


def _taken_apart(annotation: Any) -> tuple[tuple[Any, ...], str]:
    """Return the alternatives of a key's type, and the values that it expects, from its documentation."""
    metas = [item for item in get_args(annotation) if isinstance(item, Meta)]
    if not metas:
        return (annotation,), "a table"
    kind = get_args(annotation)[0]
    return get_args(kind), (metas[-1].extra or {})["expected"]
