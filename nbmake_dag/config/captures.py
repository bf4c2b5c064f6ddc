"""Paths with ``{name}``s that are matched instead of filled: one instance for each file.

A name matches a part of the name of a file or folder; a file that could be read in two ways is refused. Filling
the pattern with the values gives the path again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from nbmake_dag.config.paths import PathError, read_path
from nbmake_dag.config.templates import FIELD
from nbmake_dag.config.values import convert_text, name_fault, scalar, shortened
from nbmake_dag.core.globs import escaped, is_glob, unescaped
from nbmake_dag.core.model import Value
from nbmake_dag.core.vocabulary import ValueType

_TOUCHING = re.compile(r"\}\{")


class CaptureError(ValueError):
    """A file cannot be an instance; ``what`` goes on from "`data/x.csv` …"."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Captures(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern with names: the glob that finds its files, and the expressions that take their paths apart."""

    glob: str
    names: tuple[str, ...]
    longest: re.Pattern[str]
    shortest: re.Pattern[str]

    def values(self, path: str, types: Mapping[str, ValueType]) -> dict[str, Value]:
        """Take a path apart that the glob matches; raises `CaptureError`, with an empty text for no match."""
        found, other = self.longest.fullmatch(path), self.shortest.fullmatch(path)
        if found is None or other is None:
            raise CaptureError("")
        texts = found.groupdict()
        if texts != other.groupdict():
            name = next(name for name in self.names if texts[name] != other[name])
            raise CaptureError(f"can be read in two ways: `{name}` is `{other[name]}` or `{texts[name]}`")
        values: dict[str, Value] = {}
        for name, text in texts.items():
            if set(text) & set("*?["):
                raise CaptureError(f"has a `{shortened(text)}` for `{name}`, which would be a wildcard in a path")
            try:
                values[name] = convert_text(text, types[name]) if name in types else scalar(text)
            except ValueError as error:
                raise CaptureError(f"has `{shortened(text)}` for `{name}`, which {error}") from None
        return values


def read_captures(pattern: str) -> Captures:
    """Read a pattern; raises `PathError`."""
    pieces = FIELD.split(pattern)
    fixed, names = pieces[::2], pieces[1::2]
    if any("{" in text or "}" in text for text in fixed):
        raise PathError("has a brace that is not closed")
    if any(map(is_glob, fixed)):
        raise PathError(
            "has a wildcard", "write `{name}` for what differs; `[*]`, `[?]` and `[[]` are the characters"
        )
    if not names:
        raise PathError("has no `{name}`, so that it matches one file", "write `{name}` for what differs")
    for name in names:
        if fault := name_fault(name):
            raise PathError(f"has `{{{name}}}`, which cannot be a parameter: it {fault}")
    if _TOUCHING.search(pattern):
        raise PathError(
            "has two names without text between them, so that nobody can tell where one ends",
            "write something between them, such as `{city}-{year}`",
        )
    texts = [unescaped(text) for text in fixed]
    plain = read_path("".join(f"{text}x" for text in texts[:-1]) + texts[-1])
    if plain.endswith("/"):
        raise PathError("is a folder", "name the files in it, such as `data/{city}.csv`")
    if plain != "".join(f"{text}x" for text in texts[:-1]) + texts[-1]:
        raise PathError(
            "is not in its shortest form",
            "write it without `./`, `//` and `..` in the middle, relative to this file",
        )
    return Captures(
        glob="*".join(map(escaped, texts)),
        names=tuple(dict.fromkeys(names)),
        longest=_expression(texts, names, "[^/]+"),
        shortest=_expression(texts, names, "[^/]+?"),
    )


def _expression(texts: list[str], names: list[str], part: str) -> re.Pattern[str]:
    expression, seen = re.escape(texts[0]), set[str]()
    for name, text in zip(names, texts[1:], strict=True):
        expression += f"(?P={name})" if name in seen else f"(?P<{name}>{part})"
        expression += re.escape(text)
        seen.add(name)
    return re.compile(expression, re.DOTALL)
