"""One line for each event of a task."""

from __future__ import annotations

from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag.present.palette import Palette
from nbmake_dag.present.text import fit, plain
from nbmake_dag.present.units import coarse, precise
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag_reporting.vocabulary import AttemptOutcome

_ENDS: dict[AttemptOutcome, str] = {"failed": "failed", "timeout": "timed out", "lost": "lost"}


def ran_line(outcome: TaskOutcome, palette: Palette) -> str:
    how = f"{_took(outcome)}{_draft(outcome)}{_allowed(outcome)}"
    return f"{palette.good('✓')} {outcome.task}  ran in {how}{_why(outcome, palette)}"


def restored_line(outcome: TaskOutcome, palette: Palette) -> str:
    return f"{palette.good('↺')} {outcome.task}  restored{_draft(outcome)}{_why(outcome, palette)}"


def failed_line(outcome: TaskOutcome, palette: Palette) -> str:
    """Report how a task failed, and for one that depends on a draft, what happens next."""
    how = _ENDS[outcome.attempts[-1].outcome]
    line = f"{palette.bad('✗')} {palette.strong(outcome.task)}  {how} after {_took(outcome)}{_draft(outcome)}"
    if not outcome.draft:
        return line
    if outcome.attempts[-1].failed_as_draft:
        return f"{line}: this may be due to the draft, so it runs from the start now"
    return f"{line}: this may be due to a draft; a run from the start tells"


def cancelled_line(outcome: TaskOutcome) -> str:
    return f"- {outcome.task}  cancelled after {_took(outcome)}"


def retry_line(task: str, attempt: int, delay_s: float, last: AttemptResult, palette: Palette) -> str:
    """Announce attempt number ``attempt`` after ``last``."""
    failure = last.failure
    message = failure.message.strip().splitlines() if failure else []
    why = f": {fit(message[0], 120)}" if message else ""
    when = f"in {coarse(delay_s)}" if delay_s else "now"
    ended = _ENDS[last.outcome]
    return f"{palette.doubtful('!')} {task}  attempt {attempt - 1} {ended}{why}; attempt {attempt} {when}"


def _draft(outcome: TaskOutcome) -> str:
    """Describe a draft: a result of a run that resumed at a cell."""
    if not outcome.draft:
        return ""
    last = outcome.attempts[-1] if outcome.attempts else None
    first = f" from {last.cells[0].cell}" if last and last.resumed and last.cells else ""
    return f", draft{first}"


def _allowed(outcome: TaskOutcome) -> str:
    """Describe the errors that did not make a task fail."""
    cells = outcome.attempts[-1].cells if outcome.attempts else ()
    errors = [f"{cell.allowed} in {cell.cell}" for cell in cells if cell.allowed is not None]
    if not errors:
        return ""
    count = f"{len(errors)} allowed errors" if len(errors) > 1 else "an allowed error"
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f", {count} ({fit(plain(errors[0]), 60)}{more})"


def _took(outcome: TaskOutcome) -> str:
    count = len(outcome.attempts)
    return precise(outcome.duration_s) + (f", {count} attempts" if count > 1 else "")


def _why(outcome: TaskOutcome, palette: Palette) -> str:
    if not outcome.reasons:
        return ""
    first, *rest = outcome.reasons
    more = f", and {len(rest)} more" if rest else ""
    return palette.faint(f"  ({first}{more})")
