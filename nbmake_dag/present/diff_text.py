"""The difference of two runs as text, for a terminal and for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nbmake_dag.present.markdown import Section, alert_lines, assemble, escaped, table
from nbmake_dag.present.site_links import SiteLinks
from nbmake_dag.present.text import pad, plain, width
from nbmake_dag_reporting.compare import Change, Comparison, ResultChange, Verdict

_SIGNS = {Verdict.BETTER: "▲ better", Verdict.WORSE: "▼ worse", Verdict.SAME: "≈ within tolerance"}
_DIRECTIONS = {"higher": " (higher is better)", "lower": " (lower is better)"}
_LONGEST = 60
_DIGITS = 9
_DIGEST = 10
_COMMENT = 64_000
"""Bytes: GitHub refuses a comment with more than 65,536 characters."""
_COLUMNS = {"Graph": ("task", ""), "Why tasks ran": ("task", "why")}
_FOLDED = frozenset({"Statuses", "Durations", "Ingredients of keys", "Environment"})


def text_lines(found: Comparison) -> Iterator[str]:
    """Yield the differences in sections with aligned columns; one sentence where there are none."""
    yield f"{found.before} → {found.after}"
    sections = _sections(found)
    for title, rows in sections:
        yield ""
        yield title
        widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = zip(row, widths, strict=True)
            yield "  " + "  ".join(pad(cell, size) for cell, size in cells if size).rstrip()
    if not sections:
        yield "nothing differs"


def markdown_text(found: Comparison, links: SiteLinks | None = None, alerts: Sequence[str] = ()) -> str:
    """Write the same as tables of GitHub's Markdown, in which names and values are only text, after ``alerts``."""
    before, after = (
        _linked(escaped(run), links.run(run) if links else None) for run in (found.before, found.after)
    )
    intro = [f"**{before} → {after}**", "", _gist(found)]
    if page := links and links.compare(found.before, found.after):
        intro[-1] += f" [Compare them]({page})."
    intro += alert_lines(alerts)
    return assemble(intro, [_table(found, title, rows, links) for title, rows in _sections(found)], _COMMENT)


def difference_text(change: Change) -> str:
    """Format by how much a number differs, and the verdict."""
    before, after = change.before, change.after
    if not _is_number(before) or not _is_number(after):
        return ""
    percent = f" ({(after - before) / abs(before):+.1%})" if before else ""
    return f"{after - before:+.6g}{percent} {_SIGNS.get(change.verdict, '')}".rstrip()


def value_text(value: Any, unit: str = "") -> str:
    """Show a value, or a dash where there is none."""
    if value is None:
        return "\N{EN DASH}"
    text = f"{value:.6g}" if isinstance(value, float) and len(str(value)) > _DIGITS else str(value)
    return f"{_short(text)}{unit}"


def _gist(found: Comparison) -> str:
    """Sum up the comparison in one sentence for a reviewer."""
    verdicts = [change.verdict for change in found.metrics]
    told = (
        (len(found.reasons), "task ran", "tasks ran"),
        (len(found.results), "result differs", "results differ"),
        (verdicts.count(Verdict.WORSE), "metric is worse", "metrics are worse"),
        (verdicts.count(Verdict.BETTER), "metric is better", "metrics are better"),
    )
    parts = [f"{count} {one if count == 1 else many}" for count, one, many in told if count]
    return f"{', '.join(parts) or 'No result differs'}."


def _table(found: Comparison, title: str, rows: list[tuple[str, ...]], links: SiteLinks | None) -> Section:
    columns = _COLUMNS.get(title, ("task", "name", "before", "after", ""))
    cells = [[escaped(cell) for cell in row] for row in rows]
    if links and title == "Results":
        for row, change in zip(cells, found.results, strict=True):
            row[0] = _linked(row[0], links.task(found.after, change.task))
            if change.is_image:
                row[-1] = _linked(row[-1], links.pictures(found.before, found.after))
    return table(title, columns, cells, is_folded=title in _FOLDED)


def _linked(text: str, page: str | None) -> str:
    return f"[{text}]({page})" if page else text


def _sections(found: Comparison) -> list[tuple[str, list[tuple[str, ...]]]]:
    graph = [
        *((name, "added" if found.same_targets else f"not in run {found.before}") for name in found.added),
        *((name, "removed" if found.same_targets else f"not in run {found.after}") for name in found.removed),
        *((f"{above} → {name}", "edge added") for above, name in found.edges_added),
        *((f"{above} → {name}", "edge removed") for above, name in found.edges_removed),
    ]
    sections: list[tuple[str, list[tuple[str, ...]]]] = [
        ("Results", [_result(change) for change in found.results]),
        ("Metrics", [_row("Metrics", change) for change in found.metrics]),
        ("Graph", [(plain(name), plain(what)) for name, what in graph]),
        (
            "Why tasks ran",
            [(_short(task), _short(reason)) for task, why in found.reasons.items() for reason in why],
        ),
    ]
    for title, changes in (
        ("Parameters", found.parameters),
        ("Statuses", found.statuses),
        ("Durations", found.durations),
        ("Ingredients of keys", found.ingredients),
        ("Environment", found.environment),
    ):
        sections.append((title, [_row(title, change) for change in changes]))
    return [(title, rows) for title, rows in sections if rows]


def _result(change: ResultChange) -> tuple[str, ...]:
    before, after = (
        plain(digest)[:_DIGEST] if digest else "\N{EN DASH}" for digest in (change.before, change.after)
    )
    return (_short(change.task), _short(change.name), before, after, "image" if change.is_image else change.kind)


def _row(title: str, change: Change) -> tuple[str, ...]:
    unit = " s" if title == "Durations" else ""
    return (
        _short(change.task),
        _short(change.name) + _DIRECTIONS.get(change.direction or "", ""),
        value_text(change.before, unit),
        value_text(change.after, unit),
        difference_text(change),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
