"""YAML of other tools, read into plain values with clear errors, and its placeholders replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from nbmake_dag.errors import UsageError
from nbmake_dag.scaffold.imports.steps import SourceFile

_MOST = 100_000
"""Values in one file; an alias counts each time that it is used."""


def read_yaml(source: SourceFile) -> Any:
    """Read a document of plain values; raises `UsageError` with the line."""
    try:
        document = yaml.safe_load(source.text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = source.place(mark.line + 1 if mark else None)
        raise UsageError(f"{place} is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{source.path} is not YAML: {' '.join(str(error).split())[:200]}") from error
    try:
        _count(document)
    except RecursionError:
        raise UsageError(f"{source.path} holds values within values without end") from None
    except OverflowError:
        raise UsageError(f"{source.path} holds more than {_MOST:,} values, counting aliases") from None
    return document


def table(value: Any, what: str, source: SourceFile) -> dict[str, Any]:
    """Return a table whose keys are texts; raises `UsageError`."""
    if not isinstance(value, dict):
        raise UsageError(f"{source.path}: {what} is not a table of names and values")
    return {str(key): item for key, item in value.items()}


def items(value: Any) -> list[Any]:
    """Return a list, of what may be one value alone or missing."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def filled(value: Any, pattern: re.Pattern[str], lookup: Callable[[str], Any], unknown: set[str]) -> Any:
    """Replace placeholders in all texts of a value; a text that is only a placeholder becomes the value itself."""

    def fill(text: str) -> Any:
        if (alone := pattern.fullmatch(text)) is not None:
            return look(alone)
        return pattern.sub(lambda match: str(look(match)), text)

    def look(match: re.Match[str]) -> Any:
        name = match[1].strip()
        try:
            return lookup(name)
        except LookupError:
            unknown.add(name)
            return match[0]

    match value:
        case str():
            return fill(value)
        case list():
            return [filled(item, pattern, lookup, unknown) for item in value]
        case dict():
            return {
                (fill(key) if isinstance(key, str) else key): filled(item, pattern, lookup, unknown)
                for key, item in value.items()
            }
        case _:
            return value


def looked_up(values: Mapping[str, Any], name: str) -> Any:
    """Return a value by a name such as ``train.epochs`` or ``models[0]``; raises `LookupError`."""
    found: Any = values
    for part in re.findall(r"[^.\[\]]+", name):
        if isinstance(found, list) and part.lstrip("-").isdigit():
            found = found[int(part)]
        elif isinstance(found, Mapping):
            found = found[part]
        else:
            raise KeyError(name)
    return found


def _count(document: Any) -> None:
    """Raise `OverflowError` for a document that aliases make too large, `RecursionError` for an endless one."""
    number = 0

    def visit(value: Any, depth: int) -> None:
        nonlocal number
        number += 1
        if number > _MOST:
            raise OverflowError
        if depth > 100:
            raise RecursionError
        if isinstance(value, dict):
            for key, item in value.items():
                visit(key, depth + 1)
                visit(item, depth + 1)
        elif isinstance(value, list | tuple | set):
            for item in value:
                visit(item, depth + 1)

    visit(document, 0)
