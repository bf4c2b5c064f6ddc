"""How the tasks of a run end: each outcome is noted, remembered for the next build, and reported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from nbmake_dag.core.model import Notebook, TaskName
from nbmake_dag.engine.prepare import Prepared
from nbmake_dag.engine.results.notebook_output import with_notebook_output
from nbmake_dag.engine.state.drafts import Basis
from nbmake_dag.engine.state.previous_results import LastFailure
from nbmake_dag.engine.state.rescued_files import how_to_recover
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.record.outcome import RescuedFile, RunOutcome, TaskOutcome
from nbmake_dag.record.run_events import Listener, Notice, TaskEnded
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.vocabulary import HITS, TaskStatus

if TYPE_CHECKING:
    from nbmake_dag.core.schedule import Execute
    from nbmake_dag.execute.protocol import AttemptResult

_LONGEST = 200
"""Characters of a failure that are remembered."""


def what_failed(attempt: AttemptResult) -> str:
    """Return how an attempt failed in one line, such as ``KeyError: 'price'``."""
    failure = attempt.failure
    text = f"{failure.type}: {failure.message}".removeprefix(": ") if failure else ""
    return next(iter(text.splitlines()), attempt.outcome)[:_LONGEST]


class Ends:
    """Adds the outcomes of tasks to that of a run; used by the thread of the loop alone."""

    def __init__(self, prepared: Prepared, stores: Stores, listener: Listener, run: RunOutcome) -> None:
        self._prepared = prepared
        self._stores = stores
        self._listener = listener
        self._run_id = run.run_id
        self._tasks = run.tasks
        self._drafts: set[TaskName] = set()
        self._redactor = Redactor(prepared.survey.secrets)

    def note(self, outcome: TaskOutcome) -> None:
        """Note how a task ended; its warnings and its copy of the notebook follow from that."""
        task = self._prepared.graph.tasks[outcome.task]
        outcome = msgspec.structs.replace(outcome, notebook_source=self.source(outcome.task))
        if isinstance(task.work, Notebook) and (name := self._secret_in(task.work)):
            kept_out = f"{task.work.path} holds the value of {name}, and is not kept"
            outcome = msgspec.structs.replace(outcome, warnings=(*outcome.warnings, kept_out))
        outcome = with_notebook_output(outcome, task, self._prepared.project, self._stores.blobs, self._redactor)
        self._tasks[outcome.task] = outcome
        if outcome.draft:
            self._drafts.add(outcome.task)
        if outcome.record is not None:
            if outcome.draft:
                self._stores.previous.note_draft(outcome.task, outcome.record)
            else:
                recorded = outcome.published or outcome.status in HITS
                self._stores.previous.note(outcome.task, outcome.record, recorded=recorded)
        elif outcome.status == "failed" and outcome.attempts:
            self._stores.previous.note_failure(outcome.task, self._last_failure(outcome))
        for message in outcome.warnings:
            self._listener.notify(Notice(text=f"warning: {outcome.task}: {message}"))
        self.report_rescued(outcome.rescued)
        self._listener.notify(TaskEnded(outcome=outcome))

    def _last_failure(self, outcome: TaskOutcome) -> LastFailure:
        last = outcome.attempts[-1]
        return LastFailure(
            run_id=self._run_id,
            time=last.ended,
            what=what_failed(last),
            cell=last.failure.cell if last.failure else None,
        )

    def note_hit(
        self, task: TaskName, status: TaskStatus, record: Record, rescued: tuple[RescuedFile, ...] = ()
    ) -> None:
        """Note a task whose result was there; a record of the cache replaces a draft."""
        draft = self._stores.drafts.is_draft(task, record)
        if not draft:
            self._stores.drafts.forget(task)
            self.refute_failure(task, "it has a result without the draft")
        self.note(TaskOutcome(task=task, status=status, record=record, rescued=rescued, draft=draft))

    def report_rescued(self, rescued: Iterable[RescuedFile]) -> None:
        """Print how to get each of the user's files back."""
        for file in rescued:
            self._listener.notify(Notice(text=how_to_recover(self._prepared.project, file)))

    def source(self, task: TaskName) -> str | None:
        """Return the digest of the blob of a task's notebook as it is now; one that holds a secret has none."""
        work = self._prepared.graph.tasks[task].work
        if not isinstance(work, Notebook) or self._secret_in(work):
            return None
        try:
            return self._prepared.survey.sources.blob(work, self._stores.blobs)
        except OSError:
            # removed while the build ran; the record does without
            return None

    def _secret_in(self, work: Notebook) -> str | None:
        """Return the name of a secret that a notebook as it is now holds."""
        try:
            return self._redactor.name_in(self._prepared.project.absolute(work.path), work.path)
        except OSError:
            return None

    def is_draft(self, task: TaskName, attempt: AttemptResult) -> bool:
        """Return whether a result came from a snapshot, its own or that of a task above."""
        return attempt.resumed or (
            bool(self._drafts) and not self._drafts.isdisjoint(self._prepared.graph.with_upstream((task,)))
        )

    def compare_with_draft(self, executed: Execute, record: Record | None) -> None:
        """Compare what a run from the start left, if it succeeded, with the draft of the same."""
        task, key = executed.task, executed.keys.static_key
        cells = self._prepared.facts[task].cells
        if record is None:
            self._stores.drafts.refute(task, self._basis)
        else:
            self.refute_failure(task)
        if verdict := self._stores.drafts.settle(task, key, record, self._stores.blobs, cells):
            self._listener.notify(Notice(text=verdict))

    def note_failed_draft(self, task: TaskName) -> None:
        """Note that a task failed which was resumed, or is below one that was: that may be the reason."""
        self._stores.drafts.note_failed(task, self._basis(task))

    def refute_failure(self, task: TaskName, evidence: str = "a run from the start succeeded") -> None:
        """Report that a task whose draft failed does not fail without it."""
        if self._stores.drafts.refute(task, self._basis):
            self._listener.notify(Notice(text=f"{task}: the failure of its draft was not real: {evidence}"))

    def _basis(self, task: TaskName) -> Basis:
        facts = self._prepared.facts
        return frozenset((name, facts[name].own_key) for name in self._prepared.graph.with_upstream((task,)))
