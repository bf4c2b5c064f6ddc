"""The summary that GitHub Actions shows of a job: what ran and why, and what that changed; from the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from nbmake_dag.commands.diff_text import difference_text, value_text
from nbmake_dag.commands.markdown import Section, assemble, escaped, mermaid_section, table
from nbmake_dag.commands.recorded import reach
from nbmake_dag.commands.run_text import counted, why
from nbmake_dag.observe.project import Project
from nbmake_dag.progress.time_spans import coarse, precise
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Change, Comparison, Declared, compare
from nbmake_dag_reporting.drawing import LOOKS, drawing_of
from nbmake_dag_reporting.gantt import gantt
from nbmake_dag_reporting.graph_formats import mermaid
from nbmake_dag_reporting.run import Run, TaskRun
from nbmake_dag_reporting.runs import find_run_of_branch, read_run

_LIMIT = 1 << 20
"""Bytes: GitHub shows nothing of a step whose summary is larger."""
_LARGEST_DIAGRAM = 50_000
_MOST_EDGES = 500
"""Signs and edges of a diagram beyond which GitHub's Mermaid refuses it."""
_FIRST = ("failed", "ran", "restored", "skipped", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What a run is compared with: the latest good run of a branch."""

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
    return assemble(_intro(recorded.run, base), list(_sections(recorded.run, base, found)), limit)


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
    changes = {(change.task, change.name): change for change in found.metrics} if found else {}
    metrics = [
        _metric(task, name, value, base, changes)
        for task in run.tasks.values()
        for name, value in task.metrics.items()
    ]
    if metrics:
        columns = ("task", "metric", "value", *((f"on {escaped(base.branch)}", "difference") if base else ()))
        yield table("Metrics", columns, metrics)
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


def _metric(
    task: TaskRun, name: str, value: float, base: Base | None, changes: Mapping[tuple[str, str], Change]
) -> tuple[str, ...]:
    row = (escaped(task.name), escaped(name), escaped(value_text(value)))
    if base is None:
        return row
    before = base.recorded.run.tasks.get(task.name)
    change = changes.get((task.name, name))
    known = before.metrics.get(name) if before else None
    return (*row, escaped(value_text(known)), escaped(difference_text(change)) if change else "")


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
    return Base(branch=branch, recorded=Recorded(run=read_run(folder, record), blob=blob, record=record))
