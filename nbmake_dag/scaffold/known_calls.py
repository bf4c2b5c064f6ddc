"""What the usual functions and methods make of texts, paths, lists and tables whose values are known."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_MOST = 1000
"""Numbers of a `range` that are still followed."""
_SPEC = r"0?\d{0,2}(?:\.\d)?[sdfg]?"
_FORMAT = re.compile(rf"(?:[^{{}}]|\{{\w*(?::{_SPEC})?\}})*")
_PERCENT = re.compile(rf"(?:[^%]|%%|%{_SPEC[:-1]})*")


class NotLiteralError(ValueError):
    """The value is known only when the code runs."""


UNKNOWN = object()
"""An item of a list or table whose value is not known; alone, it is no value."""


class Namespace(dict[Any, Any]):
    """What a class of constants assigns, by name."""


def method_of(owner: Any, method: str, arguments: list[Any]) -> Any:
    """Call a method of a text, a path (which is a text here) or a table; raises `NotLiteralError`."""
    match owner, method, arguments:
        case str(), "resolve" | "absolute" | "as_posix" | "expanduser", []:
            return owner
        case str(), "joinpath", [*parts] if all(isinstance(part, str) for part in parts):
            return posixpath.join(owner, *parts)
        case str(), "with_suffix" | "with_stem" | "with_name", [str() as text]:
            folder, name = posixpath.split(owner)
            stem, suffix = posixpath.splitext(name)
            new = {"with_suffix": stem + text, "with_stem": text + suffix, "with_name": text}[method]
            return posixpath.join(folder, new)
        case str(), "lower" | "upper" | "strip", []:
            return getattr(owner, method)()
        case str(), "replace", [str() as old, str() as new] if old and len(new) <= len(old) + 100:
            return owner.replace(old, new)
        case str(), "join", [list() as parts] if all(isinstance(part, str) for part in parts):
            return owner.join(parts)
        case dict(), "items", []:
            return [[key, value] for key, value in owner.items()]
        case dict(), "keys" | "values", []:
            return list(owner.keys() if method == "keys" else owner.values())
        case dict(), "get", [str() as key, *_] if key in owner:
            return owner[key]
        case _:
            raise NotLiteralError(method)


def attribute_of(owner: Any, attribute: str) -> Any:
    """Return an attribute of a path or of a class of constants; raises `NotLiteralError`."""
    match owner, attribute:
        case Namespace(), _ if attribute in owner:
            return owner[attribute]
        case str(), "parent":
            return parent(owner)
        case str(), "parents":
            found = [parent(owner)]
            for _ in range(9):
                found.append(parent(found[-1]))
            return found
        case str(), "name":
            return posixpath.basename(owner)
        case str(), "stem" | "suffix":
            return posixpath.splitext(posixpath.basename(owner))[attribute == "suffix"]
        case _:
            raise NotLiteralError(attribute)


def formatted(text: str, values: list[Any], named: dict[str, Any]) -> str:
    """Fill a text as `str.format` does, where that is simple; raises `NotLiteralError`."""
    if not _FORMAT.fullmatch(text.replace("{{", "").replace("}}", "")):
        raise NotLiteralError(text)
    if not all(isinstance(value, str | int | float) for value in (*values, *named.values())):
        raise NotLiteralError(text)
    return text.format(*values, **named)


def percent(text: str, values: Any) -> str:
    """Fill a text as `%` does, where that is simple; raises `NotLiteralError`."""
    if not _PERCENT.fullmatch(text):
        raise NotLiteralError(text)
    found = tuple(values) if isinstance(values, list) else values
    if not isinstance(found, tuple | str | int | float):
        raise NotLiteralError(text)
    return text % found


def parent(path: str) -> str:
    """Return the folder of a path, `..` for a path that leads nowhere."""
    path = posixpath.normpath(path)
    is_above = posixpath.basename(path) in {".", ".."}
    return posixpath.normpath(posixpath.join(path, "..")) if is_above else posixpath.dirname(path) or "."


def _counted(*bounds: int) -> list[int]:
    found = range(*bounds)
    if len(found) > _MOST:
        raise NotLiteralError("too long")
    return list(found)


def _enumerated(items: Iterable[Any]) -> list[list[Any]]:
    return [[number, item] for number, item in enumerate(items)]


def _reversed(items: Sequence[Any]) -> list[Any]:
    return list(reversed(items))


BUILTINS: Mapping[str, Callable[..., Any]] = {
    "enumerate": _enumerated,
    "len": len,
    "list": list,
    "range": _counted,
    "reversed": _reversed,
    "sorted": sorted,
    "str": str,
    "tuple": list,
    "zip": lambda *lists: [list(items) for items in zip(*lists, strict=False)],
}
"""Functions of Python that are evaluated; a tuple is a list here."""
