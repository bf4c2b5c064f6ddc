"""The job summary for GitHub Actions, from the record: what ran and why, and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click
import msgspec

from nbmake_dag.observe.project import Project
from nbmake_dag.present.diff_text import difference_text, value_text
from nbmake_dag.present.markdown import Section, alert_lines, assemble, escaped, mermaid_section, table
from nbmake_dag.present.run_text import counted, why
from nbmake_dag.present.units import coarse, precise
from nbmake_dag.runs.find import reach
from nbmake_dag_reporting.alerts import alerts_between
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Change, Comparison, Declared, Verdict, compare
from nbmake_dag_reporting.drawing import LOOKS, drawing_of
from nbmake_dag_reporting.gantt import gantt
from nbmake_dag_reporting.graph_formats import mermaid
from nbmake_dag_reporting.run import Run, TaskRun
from nbmake_dag_reporting.runs import RunNotFoundError, find_run_of_branch, read_run
from nbmake_dag_reporting.vocabulary import TaskStatus

_LIMIT = 1 << 20
"""Bytes: GitHub shows nothing of a step whose summary is larger."""
_LARGEST_DIAGRAM = 50_000
_MOST_EDGES = 500
"""Signs and edges of a diagram beyond which GitHub's Mermaid refuses it."""
_FIRST: tuple[TaskStatus, ...] = ("failed", "ran", "restored", "skipped", "cancelled")


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The baseline of a comparison: the latest good run of a branch."""

    branch: str
    recorded: Recorded


def write_job_summary(project: Project, folder: str, declared: Mapping[str, Declared], path: str) -> None:
    """Append the summary of the run recorded in ``folder`` to a file, which other commands may have written to."""
    record, blob = reach(project)
    recorded = Recorded(run=read_run(folder, record), blob=blob, record=record)
    base = _base(project, recorded.run)
    try:
        with open(path, "a", encoding="utf-8", errors="replace") as file:
            file.write(summary_text(recorded, base, declared, _LIMIT - file.tell()))
    except OSError as error:
        click.echo(f"warning: the job summary was not written: {error}", err=True)


def summary_text(recorded: Recorded, base: Base | None, declared: Mapping[str, Declared], limit: int) -> str:
    """Write a run as Markdown in at most ``limit`` bytes."""
    found = compare(base.recorded, recorded, declared) if base else None
    alerts = alerts_between(base.recorded.run if base else None, recorded.run, declared)
    intro = [*_intro(recorded.run, base), *alert_lines(alerts)]
    return assemble(intro, list(_sections(recorded.run, base, found)), limit)


def _intro(run: Run, base: Base | None) -> list[str]:
    took = f" in {precise((run.ended - run.started) / 1e9)}" if run.ended else ""
    saved = f", saved {coarse(run.saved_s)}" if run.saved_s >= 0.5 else ""
    lines = [
        f"### {escaped(run.pipeline)}: {run.result}",
        "",
        f"{run.counts['total']} tasks: {counted(run.counts)}{took}{saved}.",
    ]
    if base:
        revision = (base.recorded.run.vcs.head_revision or "")[:9]
        lines[-1] += f" Compared with run {base.recorded.run.id} of {escaped(base.branch)} at {revision}."
    return lines


def _sections(run: Run, base: Base | None, found: Comparison | None) -> Iterator[Section]:
    told = sorted(
        (task for task in run.tasks.values() if task.status in _FIRST), key=lambda task: _FIRST.index(task.status)
    )
    if told:
        yield table("What ran, and why", ("task", "", "took", "why"), map(_task, told))
    if found and found.results:
        yield table(
            "Results that changed",
            ("task", "result", ""),
            (
                (escaped(change.task), escaped(change.name), "image" if change.is_image else change.kind)
                for change in found.results
            ),
        )
    yield from _metrics(run, base, found)
    drawing = drawing_of(run)
    if drawing.nodes and len(drawing.edges) <= _MOST_EDGES:
        yield from _diagram("Graph", mermaid(drawing))
    if any(task.attempts for task in run.tasks.values()):
        yield from _diagram("Timeline", gantt(run))


def _task(task: TaskRun) -> tuple[str, ...]:
    look = LOOKS[task.status]
    took = ""
    if task.attempts and task.started is not None and task.ended is not None:
        took = precise((task.ended - task.started) / 1e9)
    return escaped(task.name), f"{look.glyph} {look.words}", took, escaped(why(task))


def _metrics(run: Run, base: Base | None, found: Comparison | None) -> Iterator[Section]:
    """Yield the metrics that changed, then those that did not, folded; all of them where there is no baseline."""
    values = {(task.name, name): value for task in run.tasks.values() for name, value in task.metrics.items()}
    if base is None or found is None:
        if values:
            rows = [
                (escaped(task), escaped(name), escaped(value_text(value)))
                for (task, name), value in values.items()
            ]
            yield table("Metrics", ("task", "metric", "value"), rows)
        return
    changes = {(change.task, change.name): change for change in found.metrics}
    columns = ("task", "metric", "value", f"on {escaped(base.branch)}", "difference")
    same: list[tuple[str, ...]] = []
    changed: list[tuple[str, ...]] = []
    for task, name in dict.fromkeys((*values, *changes)):
        change = changes.get((task, name))
        before = base.recorded.run.tasks.get(task)
        known = before.metrics.get(name) if before else None
        is_same = known is not None if change is None else change.verdict is Verdict.SAME
        difference = "new" if known is None else _difference(change)
        row = (task, name, value_text(values.get((task, name))), value_text(known), difference)
        (same if is_same else changed).append(tuple(map(escaped, row)))
    if changed:
        yield table("Metrics that changed", columns, changed)
    if same:
        yield table("Metrics that did not change", columns, same, is_folded=True)


def _difference(change: Change | None) -> str:
    if change is None:
        return ""
    return "gone" if change.verdict is Verdict.GONE else difference_text(change)


def _diagram(title: str, text: str) -> Iterator[Section]:
    if len(text) <= _LARGEST_DIAGRAM:
        yield mermaid_section(title, text)


def _base(project: Project, run: Run) -> Base | None:
    """Find the latest good run of the branch that a pull request aims at, else of the run's own branch."""
    branch = run.vcs.base_name or (run.vcs.head_name if run.vcs.head_type == "branch" else None)
    if branch is None:
        return None
    folder = find_run_of_branch(project.runs, branch, before=run.id)
    if folder is None:
        return None
    record, blob = reach(project)
    try:
        of_base = read_run(folder, record)
    except RunNotFoundError:
        return None
    return Base(branch=branch, recorded=Recorded(run=of_base, blob=blob, record=record))
