"""The attempts of a run along the time, as a Gantt chart of Mermaid."""

from __future__ import annotations

from collections.abc import Iterator

from nbmake_dag_reporting.graph_formats import mermaid_text
from nbmake_dag_reporting.run import AttemptRun, Run
from nbmake_dag_reporting.vocabulary import RecordedOutcome

_TAGS: dict[RecordedOutcome, str] = {"succeeded": "done", "failed": "crit", "timeout": "crit", "lost": "crit"}


def gantt(run: Run) -> str:
    """Write a section for each task that was executed; times in milliseconds since the epoch."""
    lines = ["gantt", f"    title {mermaid_text(f'{run.pipeline}, run {run.id}')}"]
    lines += ["    dateFormat x", "    axisFormat %H:%M:%S"]
    bars = [line for name in run.tasks for line in _section(run, name)]
    if not bars:
        bars = ["    section nothing was executed", f"    {run.result} :milestone, {run.started // 1_000_000}, 0d"]
    return "\n".join([*lines, *bars]) + "\n"


def _section(run: Run, name: str) -> Iterator[str]:
    attempts = run.tasks[name].attempts
    if attempts:
        yield f"    section {mermaid_text(name)}"
    for attempt in attempts:
        start = attempt.started // 1_000_000
        end = max(_end(run, attempt) // 1_000_000, start + 1)
        tag = _TAGS.get(attempt.outcome, "active")
        yield f"    attempt {attempt.number} {attempt.outcome} :{tag}, {start}, {end}"


def _end(run: Run, attempt: AttemptRun) -> int:
    """Return when an attempt ended; one that was cut off, when its last cell began, or the run ended."""
    if attempt.ended is not None:
        return attempt.ended
    return run.ended or max((cell.ended or cell.started for cell in attempt.cells), default=attempt.started)
