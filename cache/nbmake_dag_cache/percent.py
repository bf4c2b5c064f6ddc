"""A reader of plain percent scripts, as most notebooks in text are: Jupytext is slow to import.

It reads what it certainly reads alike, and gives up at the first line that could mean more: a test compares the
two. What only writing needs, such as Jupytext's own metadata and titles, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

import msgspec

MARKER = "# %%"
_OTHER_LINE_ENDS = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARKER = re.compile(
    r"""
    \#[ ]%%
    (?:[ ]\[(?P<kind>markdown|md|raw)\])?
    (?:[ ][A-Za-z][A-Za-z0-9_,:;()/-]*(?:[ ][A-Za-z0-9_(][A-Za-z0-9_,:;()/-]*)*?)?  # a title
    (?:[ ]tags=(?P<tags>\[(?:"[A-Za-z0-9_-]+"(?:,[ ]?"[A-Za-z0-9_-]+")*)?\]))?
    """,
    re.VERBOSE,
)
_MARKER_LIKE = re.compile(r"\s*#\s*(?:%%|<codecell>|In\[)")
_ESCAPED = re.compile(
    r"""
    [\s#]*[%!?:]                      # magics, commands of a shell, help; perhaps escaped by a comment
    | [\s#]*\S*\?\s*$                 # help on what stands before
    | [\s#]*[^=]*=\s*[%!]             # the value of a magic or a command
    | [\s#]*(?:cat|cd|copy|cp|ddir|echo|ldir|ls|mkdir|mv|ren|rm|rmdir)\b  # commands without an escape
    | [\s#]*\#\s*\+                   # cells of the light format
    """,
    re.VERBOSE,
)
_FENCE = re.compile(r"#\s*(?:```|~~~)")
_FENCE_BEGIN = re.compile(r"# ```[a-z]*")
_FENCE_END = "# ```"
_CODING = re.compile(r"[ \t\f]*#.*?coding[:=]")
_TRIPLE = ('"""', "'''")

_HEADER_END = "# ---"
_ENTRY = re.compile(r"# (?P<indent>(?:  ){1,3})(?P<key>[a-z_]+):(?: (?P<value>\S.*))?")
_HEADER_KEYS = frozenset(
    {
        ("jupytext",),
        ("jupytext", "formats"),
        ("jupytext", "text_representation"),
        ("jupytext", "text_representation", "extension"),
        ("jupytext", "text_representation", "format_name"),
        ("jupytext", "text_representation", "format_version"),
        ("jupytext", "text_representation", "jupytext_version"),
        ("kernelspec",),
        ("kernelspec", "display_name"),
        ("kernelspec", "language"),
        ("kernelspec", "name"),
    }
)
_SECTIONS = frozenset(keys[:-1] for keys in _HEADER_KEYS if keys[:-1])
_PLAIN = re.compile(r"\.py|[A-Za-z][A-Za-z0-9_.,/+()-]*(?:[: ][A-Za-z0-9_.,/+()-]+)*|[0-9]+(?:\.[0-9]+){2}")
"""A value in YAML that is certainly a text, if it is no word of `_WORDS`."""
_WORDS = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})
_QUOTED = re.compile(r"'([A-Za-z0-9_.,:/+() -]*)'")
_REPRESENTATION = {"extension": ".py", "format_name": "percent", "format_version": "1.3"}


class PlainCell(msgspec.Struct, frozen=True):
    """A cell of a percent script."""

    kind: Literal["code", "markdown", "raw"]
    source: str
    tags: tuple[str, ...]


class PlainScript(msgspec.Struct, frozen=True):
    """A percent script: its cells, and of its metadata the kernelspec and the formats that it is paired with."""

    cells: tuple[PlainCell, ...]
    kernelspec: dict[str, str]
    formats: str | None


def read_plain_percent(text: str) -> PlainScript | None:
    """Read the text of a Python script in the percent format, ``None`` where Jupytext is needed to tell."""
    if not text or _OTHER_LINE_ENDS.search(text) or text.startswith("#!"):
        return None
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    if any(map(_CODING.match, lines[:2])):
        return None
    header = _header(lines)
    if header is None:
        return None
    metadata, begin = header
    starts = _starts(lines, begin)
    if not starts:
        return None
    edges = [*([begin] if begin < starts[0] else []), *starts, len(lines)]
    cells = [_cell(lines[start:end]) for start, end in pairwise(edges)]
    kernelspec, jupytext = metadata.get("kernelspec", {}), metadata.get("jupytext", {})
    found = tuple(cell for cell in cells if cell is not None)
    if len(found) < len(cells):
        return None
    return PlainScript(cells=found, kernelspec=kernelspec, formats=jupytext.get("formats"))


def _header(lines: list[str]) -> tuple[dict[str, Any], int] | None:
    """Return the metadata, and where the cells begin; ``None`` where it may hold anything else."""
    if lines[0] != _HEADER_END:
        # an empty comment, or dashes in another way, may begin a header too
        return None if re.match(r"#\s*(?:---|$)", lines[0]) else ({}, 0)
    if _HEADER_END not in lines[1:] or lines[1] != "# jupyter:":
        return None
    end = lines.index(_HEADER_END, 1)
    metadata: dict[str, Any] = {}
    path: tuple[str, ...] = ()
    for line in lines[2:end]:
        entry = _ENTRY.fullmatch(line)
        depth = len(entry["indent"]) // 2 - 1 if entry else 0
        if entry is None or depth > len(path):
            return None
        path = (*path[:depth], entry["key"])
        above: Any = metadata
        for key in path[:-1]:
            above = above.get(key)
        value: dict[str, Any] | str | None = _scalar(entry["value"])
        if path in _SECTIONS:
            value = {} if entry["value"] is None else None
        if path not in _HEADER_KEYS or not isinstance(above, dict) or path[-1] in above or value is None:
            return None
        above[path[-1]] = value
        path = path if isinstance(value, dict) else path[:-1]
    if not all(metadata.values()) or not _is_understood(metadata):
        return None
    begin = end + 1
    if begin < len(lines) and re.fullmatch(r"(?:#\s*)?", lines[begin]):
        return (metadata, begin + 1) if not lines[begin] else None
    return metadata, begin


def _scalar(value: str | None) -> str | None:
    """Return the text that a value in YAML is, ``None`` where it may be anything else."""
    if value is None:
        return None
    if quoted := _QUOTED.fullmatch(value):
        return quoted[1]
    return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else None


def _is_understood(metadata: dict[str, Any]) -> bool:
    """Return whether metadata are of Python in the present percent format, as far as they tell."""
    representation = metadata.get("jupytext", {}).get("text_representation")
    if representation is not None:
        known = {key: representation.get(key) for key in _REPRESENTATION}
        if known != _REPRESENTATION:
            return False
    kernelspec = metadata.get("kernelspec")
    return kernelspec is None or ("name" in kernelspec and kernelspec.get("language", "python") == "python")


def _starts(lines: list[str], begin: int) -> list[int]:
    """Return where cells start; nothing where a line may mean more than it says."""
    starts: list[int] = []
    open_quote = ""
    for number, line in enumerate(lines[begin:], start=begin):
        is_marker = not open_quote and _MARKER.fullmatch(line) is not None
        if is_marker:
            starts.append(number)
        elif _MARKER_LIKE.match(line) or _ESCAPED.match(line):
            return []
        state = _quote_after(line, open_quote)
        if state is None:
            return []
        open_quote = state
    return starts


def _quote_after(line: str, open_quote: str) -> str | None:
    """Return the triple quote in which the next line is, ``""`` for none, ``None`` where that is not plain.

    Jupytext looks for quotes in a way of its own; here is read what does not depend on it.
    """
    marks = [mark for mark in _TRIPLE if mark in line]
    if not marks:
        return open_quote
    if len(marks) > 1 or (open_quote and marks != [open_quote]):
        return None
    mark = marks[0]
    is_open = bool(open_quote)
    pieces = line.split(mark)
    for position, piece in enumerate(pieces):
        if is_open:
            inner = position not in {0, len(pieces) - 1}
            if mark[0] in piece or "\\" in piece or (inner and not piece):
                return None
        elif re.search(r"""["'#\\]""", piece):
            return None
        if position < len(pieces) - 1:
            is_open = not is_open
    return mark if is_open else ""


def _cell(lines: list[str]) -> PlainCell | None:
    marker = _MARKER.fullmatch(lines[0])
    content = list(_without_blank_end(lines))[1 if marker else 0 :]
    tags: tuple[str, ...] = ()
    kind: Literal["code", "markdown", "raw"] = "code"
    if marker is not None:
        tags = tuple(msgspec.json.decode(marker["tags"] or "[]", type=list[str]))
        if any(tag.startswith("active-") for tag in tags) or len(set(tags)) < len(tags):
            return None
        match marker["kind"]:
            case "markdown" | "md":
                kind = "markdown"
            case "raw":
                kind = "raw"
            case _:
                kind = "code"
    if kind != "code":
        # a text in quotes, or a fence around what looks like a cell, is Jupytext's to read
        if any(line and not line.startswith("#") for line in content) or not _fences_end(content):
            return None
        content = [line[2:] if line.startswith("# ") else line[1:] for line in content]
    return PlainCell(kind, "\n".join(content), tags)


def _fences_end(lines: list[str]) -> bool:
    """Return whether each block of code in Markdown is certainly complete."""
    is_open = False
    for line in filter(_FENCE.match, lines):
        if line != _FENCE_END if is_open else not _FENCE_BEGIN.fullmatch(line):
            return False
        is_open = not is_open
    return not is_open


def _without_blank_end(lines: list[str]) -> Iterator[str]:
    """Yield a cell without the one or two lines that separate it from the next."""
    blank = [not line.strip() for line in lines[-3:]]
    if blank == [False, True, True]:
        yield from lines[:-2]
    elif not lines[-1]:
        yield from lines[:-1]
    else:
        yield from lines
