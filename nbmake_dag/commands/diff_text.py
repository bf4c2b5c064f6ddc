"""The difference of two runs in words, for a terminal and for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nbmake_dag.progress.text import pad, plain, width
from nbmake_dag_reporting.compare import Change, Comparison, Verdict

_SIGNS = {Verdict.BETTER: "▲ better", Verdict.WORSE: "▼ worse", Verdict.SAME: "≈ within tolerance"}
_LONGEST = 60
_DIGITS = 9
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def text_lines(found: Comparison) -> Iterator[str]:
    """Yield what differs in sections with aligned columns; one sentence where nothing does."""
    yield f"{found.before} → {found.after}"
    for title, rows in _sections(found):
        yield ""
        yield title
        widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            yield "  " + "  ".join(pad(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip()
    if not any(True for _ in _sections(found)):
        yield "nothing differs"


def markdown_lines(found: Comparison) -> Iterator[str]:
    """Yield the same as tables of GitHub's Markdown, in which names and values are only text."""
    yield f"**{_escaped(found.before)} → {_escaped(found.after)}**"
    for title, rows in _sections(found):
        yield ""
        yield f"#### {title}"
        yield ""
        yield "| " + " | ".join(("task", "name", "before", "after", "")[: len(rows[0])]) + " |"
        yield "|" + "---|" * len(rows[0])
        for row in rows:
            yield "| " + " | ".join(_escaped(cell) for cell in row) + " |"
    if not any(True for _ in _sections(found)):
        yield ""
        yield "Nothing differs."


def _sections(found: Comparison) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    graph = [
        *((name, "added") for name in found.added),
        *((name, "removed") for name in found.removed),
        *((f"{above} → {name}", "edge added") for above, name in found.edges_added),
        *((f"{above} → {name}", "edge removed") for above, name in found.edges_removed),
    ]
    if graph:
        yield "Graph", [(plain(name), what) for name, what in graph]
    for title, changes in (
        ("Metrics", found.metrics),
        ("Parameters", found.parameters),
        ("Statuses", found.statuses),
        ("Durations", found.durations),
        ("Ingredients of keys", found.ingredients),
        ("Environment", found.environment),
    ):
        if changes:
            yield title, [_row(title, change) for change in changes]


def _row(title: str, change: Change) -> tuple[str, ...]:
    unit = " s" if title == "Durations" else ""
    return (
        _short(change.task),
        _short(change.name),
        _shown(change.before, unit),
        _shown(change.after, unit),
        _difference(change),
    )


def _difference(change: Change) -> str:
    before, after = change.before, change.after
    if not _is_number(before) or not _is_number(after):
        return ""
    percent = f" ({(after - before) / abs(before):+.1%})" if before else ""
    return f"{after - before:+.6g}{percent} {_SIGNS.get(change.verdict, '')}".rstrip()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shown(value: Any, unit: str) -> str:
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:.6g}" if isinstance(value, float) and len(str(value)) > _DIGITS else str(value)
    return f"{_short(text)}{unit}"


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
