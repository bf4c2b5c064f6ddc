"""Make untrusted text safe for a terminal, measure it, and cut it to a width."""

from __future__ import annotations

import re
import shutil
import sys
import unicodedata

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
