"""The last lines of a build: its tasks by status, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbmake_dag.present.palette import Palette
from nbmake_dag.present.units import coarse, precise
from nbmake_dag.record.outcome import RunOutcome
from nbmake_dag_reporting.vocabulary import HITS

if TYPE_CHECKING:
    from nbmake_dag.core.model import TaskName

_NAMED = 3


def summary_lines(outcome: RunOutcome, palette: Palette) -> list[str]:
    """Return what was cancelled and skipped because of failures, the accepted tasks, and the numbers."""
    numbers = summary_line(outcome)
    return [*_failed_lines(outcome), *_accepted_lines(outcome), palette.strong(numbers)]


def summary_line(outcome: RunOutcome) -> str:
    """Count: ``10 tasks: 10 ran, 0 restored, 0 up to date in 14.2 s``."""
    counts = Counter(task.status for task in outcome.tasks.values())
    counts["up_to_date"] += outcome.unchanged
    drafts = sum(task.draft for task in outcome.tasks.values() if task.status != "failed")
    parts = [f"{counts['ran']} ran", f"{counts['restored']} restored", f"{counts['up_to_date']} up to date"]
    parts += [f"{counts[status]} {status}" for status in ("failed", "skipped", "cancelled") if counts[status]]
    parts += [f"{drafts} draft{'' if drafts == 1 else 's'}"] if drafts else []
    total = counts.total()
    head = "interrupted: " if outcome.signal is not None else ""
    numbers = f"{head}{total} task{'' if total == 1 else 's'}: {', '.join(parts)} in {precise(outcome.duration_s)}"
    saved = _saved_s(outcome)
    if counts["up_to_date"] < total and saved >= 0.5:
        numbers += f", saved {coarse(saved)}"
    return f"{numbers}; shared cache: {outcome.shared}" if outcome.shared else numbers


def is_pointless(outcome: RunOutcome) -> bool:
    """Return whether nothing came of a build because files changed meanwhile."""
    statuses = {task.status for task in outcome.tasks.values()}
    stopped = "cancelled" in statuses and statuses <= {"cancelled", "up_to_date"}
    return stopped and outcome.signal is None and outcome.error is None


def _saved_s(outcome: RunOutcome) -> float:
    """Add up the durations of the executions that hits replaced."""
    hits = (task for task in outcome.tasks.values() if task.status in HITS)
    return sum(hit.record.origin.duration_s for hit in hits if hit.record)


def _failed_lines(outcome: RunOutcome) -> list[str]:
    failed = [name for name, task in outcome.tasks.items() if task.status == "failed"]
    skipped: dict[TaskName, list[TaskName]] = {}
    for name, task in outcome.tasks.items():
        if task.because is not None:
            skipped.setdefault(task.because, []).append(name)
    lines = [f"failed: {_names(failed)}"] if len(failed) > 1 else []
    cancelled = [name for name, task in outcome.tasks.items() if task.status == "cancelled"]
    if failed and cancelled and outcome.signal is None and outcome.error is None:
        lines.append(f"cancelled: {_names(cancelled)} after the failure; `--keep-going` goes on")
    return lines + [f"skipped: {_names(names)}, because {cause} failed" for cause, names in skipped.items()]


def _accepted_lines(outcome: RunOutcome) -> list[str]:
    accepted = [name for name, task in outcome.tasks.items() if task.reasons[:1] == ("accepted",)]
    return [f"accepted: {_names(accepted)}"] if accepted else []


def _names(names: Sequence[TaskName]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
