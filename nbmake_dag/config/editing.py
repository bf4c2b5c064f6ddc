"""Changes of the text of ``pipeline.toml`` by which everything else in it stays as it is, comments included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from keyword import iskeyword
from typing import Any

import tomli
import tomlkit
from tomlkit.container import OutOfOrderTableProxy
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, InlineTable, SingleKey, Table

_NOT_IN_NAMES = re.compile(r"\W+")


class UneditableError(Exception):
    """The text is written in a way that cannot be changed without changing something else."""


def with_inputs(text: str, task: str, paths: Sequence[str]) -> str:
    """Add paths to the ``inputs`` of a task; of a table of named paths each gets a name from its file's.

    Raises `UneditableError`, for one whose line a person must write.
    """
    document, expected = _parsed(text)
    table = _task(document, task)
    declared = table.get("inputs")
    if declared is None:
        _add_key(table, "inputs", list(paths))
        expected["tasks"][task]["inputs"] = list(paths)
    elif isinstance(declared, Array):
        for path in paths:
            declared.append(path)
        expected["tasks"][task]["inputs"] += paths
    elif isinstance(declared, (Table, InlineTable)):
        for name, path in named(paths, declared).items():
            declared.append(name, path)
            expected["tasks"][task]["inputs"][name] = path
    else:
        raise UneditableError
    return _checked(document, expected)


def _parsed(text: str) -> tuple[tomlkit.TOMLDocument, dict[str, Any]]:
    try:
        return tomlkit.parse(text if text.endswith("\n") else f"{text}\n"), tomli.loads(text)
    except (TOMLKitError, tomli.TOMLDecodeError) as error:
        raise UneditableError from error


def _task(document: tomlkit.TOMLDocument, name: str) -> Any:
    tasks = document.get("tasks")
    table = tasks.get(name) if isinstance(tasks, (Table, InlineTable, OutOfOrderTableProxy)) else None
    if not isinstance(table, (Table, InlineTable, OutOfOrderTableProxy)):
        raise UneditableError
    return table


def named(paths: Iterable[str], taken: Mapping[str, object]) -> dict[str, str]:
    """Name each path by its file, without its ending, as none of ``taken`` is named."""
    names: dict[str, str] = {}
    for path in paths:
        stem = path.rstrip("/").rpartition("/")[2].partition(".")[0] or path.rpartition("/")[2]
        base = _NOT_IN_NAMES.sub("_", stem).strip("_")
        base = base if base.isidentifier() and not iskeyword(base) else f"file_{base}".rstrip("_")
        base = base if base.isidentifier() else "file"
        name, number = base, 2
        while name in taken or name in names:
            name, number = f"{base}_{number}", number + 1
        names[name] = path
    return names


def _add_key(table: Table | InlineTable | OutOfOrderTableProxy, key: str, value: object) -> None:
    """Add a key below the others of a table: above its tables, and above the comments of what follows it."""
    if isinstance(table, InlineTable):
        table.append(key, value)
        return
    if not isinstance(table, Table):
        raise UneditableError
    body = table.value.body
    keys = [place for place, (name, item) in enumerate(body) if name is not None and not isinstance(item, Table)]
    if not keys:
        raise UneditableError
    body.insert(keys[-1] + 1, (SingleKey(key), tomlkit.item(value)))


def _checked(document: tomlkit.TOMLDocument, expected: object) -> str:
    """Return the text, if it has what was to be added and else what it had."""
    text = tomlkit.dumps(document)
    try:
        is_as_expected = tomli.loads(text) == expected
    except tomli.TOMLDecodeError:
        is_as_expected = False
    if not is_as_expected:
        raise UneditableError
    return text
