"""The outcome of each task in a run, and of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag_cache.record import AccessMode, Record
from nbmake_dag_reporting.vocabulary import RunResult, TaskStatus

if TYPE_CHECKING:
    from nbmake_dag.core.model import TaskName

EXIT_CODES: dict[RunResult, int] = {"success": 0, "failure": 1, "error": 3}


class RescuedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the user that was about to be overwritten or removed: ``path`` is now the blob ``sha256``."""

    path: str
    sha256: str


class UndeclaredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that made a result that counts, or was made with it, and that the task does not declare."""

    path: str
    mode: AccessMode
    changed: bool = False
    """Whether it is not what was read then: it is gone, or has other bytes."""


class TaskOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one task."""

    task: TaskName
    status: TaskStatus
    reasons: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """A code for each reason."""
    record: Record | None = None
    """Of a hit, the record; of a task that ran, the one that was made."""
    published: bool = False
    """The record of a task that ran is in the cache."""
    draft: bool = False
    """It was resumed from a snapshot, or depends on a task that was."""
    attempts: tuple[AttemptResult, ...] = ()
    rescued: tuple[RescuedFile, ...] = ()
    because: TaskName | None = None
    """Of a skipped task, the one that failed."""
    failed_folder: str | None = None
    """Where the executed notebook and partial outputs of a failed task are, relative to the root."""
    warnings: tuple[str, ...] = ()
    notebook_source: str | None = None
    """Blob: the notebook as it is now."""

    @property
    def duration_s(self) -> float:
        return sum(attempt.ended - attempt.started for attempt in self.attempts) / 1e9


class RunOutcome(msgspec.Struct, kw_only=True):
    """The end of a run, filled as its tasks end. ``signal`` is the number of the signal that ended it."""

    run_id: str
    tasks: dict[TaskName, TaskOutcome] = {}
    unchanged: int = 0
    """How many tasks were seen to be up to date without looking at each; they are not in ``tasks``."""
    duration_s: float = 0.0
    signal: int | None = None
    error: str | None = None
    misused: bool = False
    """What was asked for turned out not to exist."""
    shared: str = ""
    """How many results came from the shared cache and went there, in words."""
    folder: str = ""
    """Where the run is recorded."""

    @property
    def result(self) -> RunResult:
        if self.signal is not None:
            return "cancellation"
        if self.error is not None or any(_is_lost(outcome) for outcome in self.tasks.values()):
            return "error"
        failed = any(outcome.status == "failed" for outcome in self.tasks.values())
        return "failure" if failed else "success"

    @property
    def exit_code(self) -> int:
        if self.signal is not None:
            return 128 + self.signal
        return 2 if self.misused and self.error is None else EXIT_CODES[self.result]


def _is_lost(outcome: TaskOutcome) -> bool:
    return outcome.status == "failed" and bool(outcome.attempts) and outcome.attempts[-1].outcome == "lost"
