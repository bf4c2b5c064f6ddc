"""Text for GitHub's Markdown, in which names and values are only text, within a limit of size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from nbmake_dag.present.text import plain

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_MENTION = "@<!-- -->"
LIMIT = 1 << 19
"""Bytes of the part of a command in a job summary, of which GitHub shows twice as many."""
_RESERVE = 100
"""Bytes kept free for each section that may need a note that it was cut."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A table, or a diagram; of a table as many ``rows`` are shown as fit, a diagram is shown whole or not."""

    title: str
    head: tuple[str, ...]
    rows: tuple[str, ...]
    foot: tuple[str, ...] = ()
    is_table: bool = True
    is_folded: bool = False


def escaped(text: str) -> str:
    """Write text as it is: nothing in it is Markdown, HTML or a mention of a user."""
    return _SPECIAL.sub(r"\\\1", plain(text)).replace("@", _MENTION)


def alert_lines(sentences: Iterable[str]) -> list[str]:
    """Write alerts so that GitHub shows them as a warning."""
    lines = [f"> - {escaped(sentence)}" for sentence in sentences]
    return ["", "> [!WARNING]", *lines] if lines else []


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, is_folded: bool = False
) -> Section:
    """Make a table of cells that are Markdown already."""
    return Section(
        title=title,
        head=(f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)),
        rows=tuple(f"| {' | '.join(row)} |" for row in rows),
        is_folded=is_folded,
    )


def mermaid_section(title: str, text: str) -> Section:
    """Make a diagram that GitHub draws."""
    return Section(title=title, head=("```mermaid",), rows=tuple(text.splitlines()), foot=("```",), is_table=False)


def assemble(intro: Sequence[str], sections: Sequence[Section], limit: int) -> str:
    """Write sections, the most important first, in at most ``limit`` bytes of UTF-8."""
    lines = list(intro)
    left = limit - _size(lines)
    for position, section in enumerate(sections):
        written = list(_written(section, left - _RESERVE * (len(sections) - position)))
        lines += written
        left -= _size(written)
    return "".join(f"{line}\n" for line in lines)


def _written(section: Section, budget: int) -> Iterator[str]:
    title = f"#### {section.title}"
    opening = ["", title, ""]
    closing = list(section.foot)
    if section.is_folded:
        opening = ["", f"<details><summary>{section.title} ({len(section.rows)})</summary>", ""]
        closing += ["", "</details>"]
    free = budget - _size([*opening, *section.head, *closing])
    shown = _fitting(section.rows, free)
    if shown < len(section.rows) and not (section.is_table and shown):
        if budget > 0:
            yield from ("", f"{section.title}: left out to stay within the size limit.")
        return
    yield from (*opening, *section.head, *section.rows[:shown], *section.foot)
    if shown < len(section.rows):
        yield from ("", f"{len(section.rows) - shown} more rows are left out.")
    yield from closing[len(section.foot) :]


def _fitting(rows: Sequence[str], free: int) -> int:
    for count, row in enumerate(rows):
        free -= _size([row])
        if free < 0:
            return count
    return len(rows)


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode("utf-8", "surrogatepass")) + 1 for line in lines)
