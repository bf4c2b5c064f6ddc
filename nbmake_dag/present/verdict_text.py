"""A verdict as text: for a terminal, for a job summary, and as a badge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape

from nbmake_dag.present.markdown import LIMIT, assemble, escaped, table
from nbmake_dag.present.palette import Palette
from nbmake_dag.present.text import plain
from nbmake_dag.present.units import coarse
from nbmake_dag_reporting.verdict import TaskJudgement, TaskVerdict, VerdictDocument

WORDS: dict[TaskJudgement, str] = {
    "identical": "identical",
    "equal": "equal within tolerance",
    "differs": "differs",
    "could_not_run": "could not run",
}
_GLYPHS: dict[TaskJudgement, str] = {"identical": "=", "equal": "≈", "differs": "≠", "could_not_run": "?"}
_COLOURS: dict[TaskJudgement, str] = {
    "identical": "#2e7d32",
    "equal": "#2e7d32",
    "differs": "#c62828",
    "could_not_run": "#6d6d6d",
}
_LABEL = "replay"
_SIGN = 6.6
"""Pixels of one sign of a badge, on average."""


def verdict_lines(verdict: VerdictDocument, palette: Palette) -> Iterator[str]:
    """Yield a line for each task, with what else is to be known of it below, and the sum."""
    width = max((len(task.name) for task in verdict.tasks), default=0)
    for task in verdict.tasks:
        head = f"{_GLYPHS[task.verdict]} {plain(task.name):<{width}}  {WORDS[task.verdict]}"
        colour = {"identical": palette.good, "equal": palette.good, "differs": palette.bad}.get(
            task.verdict, palette.doubtful
        )
        yield colour(head) + (f": {plain(task.why)}" if task.why else "")
        for line in _more(task):
            yield f"    {plain(line)}"
    yield summary_line(verdict)


def _more(task: TaskVerdict) -> Iterator[str]:
    for difference in task.differences[1:4]:
        yield f"also {difference.name}: {difference.where}"
    if len(task.differences) > 4:
        yield f"and {len(task.differences) - 4} more"
    if task.times > 1:
        yield f"the same {task.same} of {task.times} times"
    for condition in task.conditions:
        if condition.matters:
            yield f"{condition.name} matters: {condition.why}"
        elif condition.why:
            yield f"{condition.name}: {condition.why}"
    yield from task.notes


def summary_line(verdict: VerdictDocument) -> str:
    """Return how many tasks got which verdict."""
    counts = Counter(task.verdict for task in verdict.tasks)
    said = ", ".join(f"{counts[kind]} {words}" for kind, words in WORDS.items() if counts[kind])
    tasks = "1 task" if len(verdict.tasks) == 1 else f"{len(verdict.tasks)} tasks"
    return f"{tasks} of run {verdict.run} replayed in {coarse(verdict.duration_s)}: {said or 'none'}"


def verdict_markdown(verdict: VerdictDocument) -> str:
    """Write a verdict as a part of a job summary."""
    rows = ((escaped(task.name), WORDS[task.verdict], escaped(task.why)) for task in verdict.tasks)
    intro = [f"### Replay of {escaped(verdict.pipeline)}: {WORDS[verdict.verdict]}", "", summary_line(verdict), ""]
    return assemble(intro, [table("Tasks", ("task", "verdict", "first difference, or why"), rows)], LIMIT)


def badge(verdict: VerdictDocument) -> str:
    """Draw a badge, as those that stand in READMEs."""
    words = WORDS[verdict.verdict]
    left, right = (round(len(text) * _SIGN) + 12 for text in (_LABEL, words))
    width, text = left + right, escape(f"{_LABEL}: {words}")
    end = right - 3
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{text}">'
        f"<title>{text}</title>"
        f'<rect width="{width}" height="20" rx="3" fill="#444"/>'
        f'<path fill="{_COLOURS[verdict.verdict]}" d="M{left} 0h{end}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{end}z"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:g}" y="14">{_LABEL}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(words)}</text>'
        "</g></svg>\n"
    )
