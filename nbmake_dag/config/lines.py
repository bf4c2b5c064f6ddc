"""The line of each key of a TOML text, and its depth, which is limited before anything parses it.

A scanner of statements, not a parser: it stops at the first thing that is not TOML, as the parser after it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
import tomli

MAX_DEPTH = 32

_BASIC = r'"(?:[^"\\\n]|\\[^\n])*+"'
_LITERAL = r"'[^'\n]*+'"
_PART = rf"(?:[A-Za-z0-9_-]++|{_BASIC}|{_LITERAL})"
_KEY = rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+"
_STATEMENT = re.compile(
    rf"(?:[ \t\n]|#[^\n]*+)*+(?:\[\[?[ \t]*+(?P<header>{_KEY})[ \t]*+\]\]?|(?P<key>{_KEY})[ \t]*+=[ \t]*+)"
)
_SCALAR = rf'{_BASIC}(?!")|{_LITERAL}(?!\')|[^\s#"\'\[\]{{}}][^\n#"\'\[\]{{}}]*+'
_FLAT = re.compile(rf"(?:{_SCALAR}|\[(?:[ \t\n,]|{_BASIC}(?!\")|{_LITERAL}(?!')|[^\s#\"'\[\]{{}},]++)*+\])")
_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*+"""(?:"{0,2})'
    r"|'''(?:[^']|'(?!''))*+'''(?:'{0,2})"
    rf"|(?P<dotted>{_PART}(?:[ \t]*+\.[ \t]*+{_PART})++)"
    rf"|{_BASIC}|{_LITERAL}|#[^\n]*+|(?P<open>[\[{{])|(?P<close>[\]}}])|[\w+:-]++|[^\s#\"'\[\]{{}}]|\s++"
)
_PARTS = re.compile(_PART)


class TooDeepError(ValueError):
    """A key is nested deeper than any use of the file needs."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class Lines(msgspec.Struct, frozen=True):
    """The line on which each key and each table first appears."""

    numbers: dict[tuple[str, ...], int]
    moved: Mapping[tuple[str, ...], tuple[str, ...]] = {}
    """Where keys stand in the text that count as others: those of a profile."""
    parts: Mapping[str, tuple[str, Lines]] = {}
    """The parts of the pipeline by folder, each with its file: `etl/clean` among tasks is a key of `etl`."""

    def place(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return where the value that counts at ``path`` stands in the text."""
        for length in range(len(path), 0, -1) if self.moved else ():
            if (there := self.moved.get(path[:length])) is not None:
                return there + path[length:]
        return path

    def profile_of(self, path: tuple[str, ...]) -> str | None:
        """Return the profile that the value comes from that counts at ``path``."""
        if (found := self._in_part(path)) is not None:
            _, lines, path = found
            return lines.profile_of(path)
        there = self.place(path)
        return there[1] if there != path else None

    def has(self, path: tuple[str, ...]) -> bool:
        """Return whether a table or key stands in the text."""
        if (found := self._in_part(path)) is not None:
            _, lines, path = found
            return lines.has(path)
        return self.place(path) in self.numbers

    def file_of(self, path: tuple[str, ...], file: str) -> str:
        """Return the file in which a key stands: ``file``, or a part of it."""
        found = self._in_part(path)
        return file if found is None else found[0]

    def folder_of(self, name: str) -> str:
        """Return the folder of the part with what has a name; empty where none has it."""
        while "/" in name and self.parts:
            name = name.rpartition("/")[0]
            if name in self.parts:
                return name
        return ""

    def _in_part(self, path: tuple[str, ...]) -> tuple[str, Lines, tuple[str, ...]] | None:
        """Return the part with a key, its lines, and where the key is in it.

        That of a task or a set is its name below the folder; anything else is below ``("parts", "FOLDER/")``.
        """
        if not self.parts or len(path) < 2 or path[0] not in {"tasks", "sets", "parts"}:
            return None
        if not (folder := self.folder_of(path[1])):
            return None
        file, lines = self.parts[folder]
        name = path[1].removeprefix(f"{folder}/")
        return file, lines, (path[0], name, *path[2:]) if name else path[2:]

    def of(self, path: tuple[str, ...]) -> int:
        """Return the line of the innermost table or key around ``path`` that has one."""
        if (found := self._in_part(path)) is not None:
            _, lines, path = found
            return lines.of(path)
        path = self.place(path)
        while path:
            if path in self.numbers:
                return self.numbers[path]
            path = path[:-1]
        return 1


def scan(text: str) -> Lines:
    """Find the keys of a TOML text whose lines end with LF; raise `TooDeepError` for more than 32 levels."""
    numbers: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    line, counted, position = 1, 0, 0
    while statement := _STATEMENT.match(text, position):
        name = statement.lastgroup or ""
        start, position = statement.start(name), statement.end()
        line += text.count("\n", counted, start)
        counted = start
        path = _split(statement[name])
        if name == "header":
            header = path
        else:
            path = header + path
        if len(path) > MAX_DEPTH:
            raise TooDeepError(line)
        for length in range(len(header) + 1 if name == "key" else 1, len(path) + 1):
            numbers.setdefault(path[:length], line)
        if name == "key":
            flat = _FLAT.match(text, position)
            position = flat.end() if flat else _end_of_value(text, position, len(path), line)
    return Lines(numbers)


def _end_of_value(text: str, position: int, depth: int, line: int) -> int:
    """Return where a value of brackets or several lines ends."""
    outside = depth
    while token := _TOKEN.match(text, position):
        position = token.end()
        match token.lastgroup:
            case "open":
                depth += 1
            case "close":
                depth -= 1
            case "dotted" if depth + len(_PARTS.findall(token[0])) > MAX_DEPTH:
                raise TooDeepError(line)
            case _:
                pass
        if depth > MAX_DEPTH:
            raise TooDeepError(line)
        if depth <= outside:
            break
    return position


def _split(key: str) -> tuple[str, ...]:
    """Return the parts of a dotted key; no more of a long one than shows that it is too long."""
    if "." not in key and key[0] not in "\"'":
        return (key,)
    if '"' not in key and "'" not in key:
        return tuple(part.strip(" \t") for part in key.split("."))
    return tuple(_unquoted(part) for part in _PARTS.findall(key)[: MAX_DEPTH + 1])


def _unquoted(part: str) -> str:
    if part[0] not in "\"'":
        return part
    try:
        return next(iter(tomli.loads(f"{part} = 0")))
    except tomli.TOMLDecodeError:
        return part
