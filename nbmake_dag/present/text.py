"""Make untrusted text safe for a terminal, measure it, and cut it to a width."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

_COLOUR = r"\x1b\[[0-9;:]*m"
_SEQUENCE = (
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # a control sequence, such as a move of the cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # a string, such as a window's title
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROL = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
_UNSAFE = f"{_SEQUENCE}|{_CONTROL}"  # compiled when first met: a build with nothing to do meets nothing
_UNSAFE_BUT_COLOURS = f"({_COLOUR})|{_UNSAFE}"
_RESET = "\x1b[0m"
_ROOM, _HANGING = 30, 4
"""Columns that are worth an indentation as deep as a column begins, and those of an indentation elsewhere."""


def plain(line: str) -> str:
    """Remove all control characters and sequences, colours included."""
    return line if line.isprintable() else re.sub(_UNSAFE, "", line).expandtabs(4)


def coloured(line: str) -> str:
    """Remove control characters and sequences, except colours, which end with the line."""
    if line.isprintable():
        return line
    safe = re.sub(_UNSAFE_BUT_COLOURS, lambda match: match[1] or "", line).expandtabs(4)
    return safe + _RESET if "\x1b" in safe and not safe.endswith(_RESET) else safe


def width(text: str) -> int:
    """Count the columns that plain text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def terminal_columns() -> int | None:
    """Return how wide standard output is; ``None`` where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(text: str, terminal: TextIO) -> str:
    """Fold each line of a text as `folded` does, to the columns of a terminal."""
    columns = os.get_terminal_size(terminal.fileno()).columns or 80
    return "\n".join(part for line in text.split("\n") for part in folded(line, columns))


def folded(line: str, columns: int) -> list[str]:
    """Fold a line between words and columns; what goes on is indented, below the last column if that has room.

    What is in backquotes stays whole where it can, and an address always: people copy it. Of another word that is
    wider than the room, such as the name of an instance or a path, parts go on below.
    """
    if width(plain(line)) <= columns:
        return [line]
    starts = [gap.end() for gap in re.finditer(r"(?<=\S) {2,}(?=\S)", plain(line))]
    lead = len(line) - len(line.lstrip(" "))
    if lead > columns // 2:
        lead, line = _HANGING, " " * _HANGING + line.lstrip(" ")
    indent = max((start for start in starts if columns - start >= _ROOM), default=lead + _HANGING)
    lines = [""]
    for piece in _pieces(line, columns - indent):
        if lines[-1].strip() and width(plain(lines[-1] + piece)) > columns:
            lines.append(" " * indent + piece.lstrip(" "))
        else:
            lines[-1] += piece
    return lines


def _pieces(line: str, room: int) -> Iterator[str]:
    """Yield words with the spaces before them, parts of those that are too wide."""
    for word in re.findall(r" *(?:`[^`]*`|[^\s`]|`)+", line):
        if width(plain(word)) <= room:
            yield word
            continue
        for part in re.findall(r" *\S+", word):
            is_whole = width(plain(part)) <= room or "://" in part
            yield from [part] if is_whole else re.findall(rf" *(?:{_COLOUR}|[^\s,/\[])*[,/\[]?", part)


def fit(text: str, columns: int) -> str:
    """Cut plain text at its end."""
    if width(text) <= columns:
        return text
    kept = _prefix(text, columns - 1)
    return f"{kept}…" if columns > 0 else ""


def squeeze(name: str, columns: int) -> str:
    """Cut a name in its middle: instances of a matrix differ at their ends."""
    if width(name) <= columns or columns < 3:
        return fit(name, columns)
    tail = _prefix(name[::-1], (columns - 1) // 2)[::-1]
    return f"{_prefix(name, columns - 1 - width(tail))}…{tail}"


def pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def _prefix(text: str, columns: int) -> str:
    for end, character in enumerate(text):
        columns -= _columns(character)
        if columns < 0:
            return text[:end]
    return text


def _columns(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in {"Mn", "Me", "Cf"} else 1
