"""One line for whatever happens to a task."""

from __future__ import annotations

from nbmake_dag.build.outcome import TaskOutcome
from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag.progress.palette import Palette
from nbmake_dag.progress.text import fit
from nbmake_dag.progress.time_spans import coarse, precise

_ENDS = {"failed": "failed", "timeout": "timed out", "lost": "lost"}


def ran_line(outcome: TaskOutcome, palette: Palette) -> str:
    return f"{palette.good('✓')} {outcome.task}  ran in {_took(outcome)}{_draft(outcome)}{_why(outcome, palette)}"


def restored_line(outcome: TaskOutcome, palette: Palette) -> str:
    return f"{palette.good('↺')} {outcome.task}  restored{_draft(outcome)}{_why(outcome, palette)}"


def failed_line(outcome: TaskOutcome, palette: Palette) -> str:
    how = _ENDS[outcome.attempts[-1].outcome]
    return f"{palette.bad('✗')} {palette.strong(outcome.task)}  {how} after {_took(outcome)}{_draft(outcome)}"


def cancelled_line(outcome: TaskOutcome) -> str:
    return f"- {outcome.task}  cancelled after {_took(outcome)}"


def retry_line(task: str, attempt: int, delay_s: float, last: AttemptResult, palette: Palette) -> str:
    """Say that attempt number ``attempt`` follows ``last``."""
    failure = last.failure
    message = failure.message.strip().splitlines() if failure else []
    why = f": {fit(message[0], 120)}" if message else ""
    when = f"in {coarse(delay_s)}" if delay_s else "now"
    ended = _ENDS[last.outcome]
    return f"{palette.doubtful('!')} {task}  attempt {attempt - 1} {ended}{why}; attempt {attempt} {when}"


def _draft(outcome: TaskOutcome) -> str:
    """Say that a result did not come from a run from the start, and which cell it began with."""
    if not outcome.draft:
        return ""
    last = outcome.attempts[-1] if outcome.attempts else None
    first = f" from cell {last.cells[0].index + 1}" if last and last.resumed and last.cells else ""
    return f", draft{first}"


def _took(outcome: TaskOutcome) -> str:
    count = len(outcome.attempts)
    return precise(outcome.duration_s) + (f", {count} attempts" if count > 1 else "")


def _why(outcome: TaskOutcome, palette: Palette) -> str:
    if not outcome.reasons:
        return ""
    first, *rest = outcome.reasons
    more = f", and {len(rest)} more" if rest else ""
    return palette.faint(f"  ({first}{more})")
