"""The identity of Python source: a digest of its syntax tree, the same on every supported Python.

The tree is written in a form of our own, because that of `ast.dump` differs between versions: fields in
alphabetical order, empty ones and empty pieces of f-strings left out. Positions, comments and
formatting are not in a tree; docstrings are values and count. Source that does not parse counts as text.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from functools import cache
from types import EllipsisType, NoneType
from typing import Any

from nbmake_dag_cache.digest import Digest, digest_bytes, digest_text


def python_identity(source: str | bytes) -> Digest:
    """Identify a module's source. Bytes may have a byte order mark or declare their encoding."""
    tree = parse(source)
    if tree is not None:
        return digest_text("python:" + write_tree(tree))
    return digest_text("text:" + source) if isinstance(source, str) else digest_bytes(b"text:" + source)


def parse(source: str | bytes) -> ast.Module | None:
    """Parse without warnings; ``None`` for what this Python does not parse, or only with a deeper stack."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def write_tree(tree: ast.AST) -> str:
    """Write a tree so that different trees have different texts; without recursion, as trees can be deep."""
    written: list[str] = []
    waiting: list[Any] = [tree]
    while waiting:
        item = waiting.pop()
        kind = item.__class__
        if kind is str:
            written.append(item)
            continue
        if kind is ast.Constant:
            written.append(_write_value(item.value))
            continue
        opening, fields = _shape(kind)
        written.append(opening)
        waiting.append(")")
        for name, label in fields:
            value = getattr(item, name)
            if value is None:
                continue
            if value.__class__ is list:
                if not value:
                    continue
                elements = _without_empty(value) if kind is ast.JoinedStr else value
                waiting.append("]")
                waiting += [_write_element(element) for element in reversed(elements)]
                waiting.append(label + "[")
            elif value.__class__ in _WRITERS:
                written.append(label + _write_value(value))
            elif name != "format_spec" or not _is_empty(value):
                waiting += (value, label)
    return "".join(written)


def _write_element(element: Any) -> Any:
    """Write an element of a list unless it is a node; ``None`` means a key or a default that is absent."""
    if element is None:
        return "-"
    return _write_value(element) if element.__class__ is str else element


@cache
def _shape(kind: type[ast.AST]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """How a kind of node begins, and its fields with their labels."""
    return "(" + kind.__name__, tuple((name, f" {name}=") for name in sorted(kind._fields) if name != "ctx")


def _is_empty(spec: ast.AST) -> bool:
    """Whether a format specification is the empty one of ``f"{x:}"``, which has no effect."""
    return isinstance(spec, ast.JoinedStr) and not _without_empty(spec.values)


def _without_empty(pieces: list[ast.expr]) -> list[ast.expr]:
    """Drop empty constants from the pieces of an f-string: not every Python puts them there."""
    return [piece for piece in pieces if not (isinstance(piece, ast.Constant) and piece.value == "")]


def _write_value(value: object) -> str:
    return _WRITERS[type(value)](value)


# `hex`, because the decimal digits of an int are limited; lengths and ends, so that none begins another.
_WRITERS: dict[type, Callable[[Any], str]] = {
    NoneType: repr,
    bool: repr,
    EllipsisType: repr,
    int: lambda number: f"{number:#x};",
    float: lambda number: f"{number!r};",
    complex: lambda number: f"{number!r};",
    str: lambda text: f"s{len(text)}:{text}",
    bytes: lambda data: f"b{len(data)}:{data.hex()}",
}
