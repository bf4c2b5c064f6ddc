"""The loop of a build: instructions of the schedule are carried out, what happens is told to it."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from nbmake_dag.build.executions import Execution, Executions
from nbmake_dag.build.kept import way_back
from nbmake_dag.build.listener import Listener
from nbmake_dag.build.notebook_output import with_notebook_output
from nbmake_dag.build.outcome import Kept, RunOutcome, TaskOutcome
from nbmake_dag.build.pool import Pool
from nbmake_dag.build.prepare import Prepared, Stores
from nbmake_dag.build.publish import origin_of, record_of
from nbmake_dag.build.restoring import PutBack, Restoring
from nbmake_dag.build.sharing import ModulesAsked, Sharing
from nbmake_dag.build.undeclared import declarations, judged
from nbmake_dag.build.watched import Watched
from nbmake_dag.core.facts import result_of
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.core.schedule import (
    Abandon,
    Began,
    Failed,
    Finished,
    Instruction,
    Interrupted,
    Keep,
    Outdated,
    Restore,
    Restored,
    Run,
    Schedule,
    Seek,
    Skip,
    Sought,
    Stopped,
    Unrestorable,
)
from nbmake_dag.ending_signals import handling
from nbmake_dag.execute.protocol import AttemptResult, Ended, Event, ExecutorLost
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_cache.record import Record

TICK_S = 0.1
GRACE_S = 3.0
"""Between the interrupt and the kill of running work."""


@dataclass(frozen=True, slots=True)
class _Signal:
    number: int


class Loop:
    """Runs one schedule to its end, in the thread that made it."""

    def __init__(
        self,
        prepared: Prepared,
        stores: Stores,
        schedule: Schedule,
        *,
        pool: Pool,
        writer: RunWriter,
        listener: Listener,
        sharing: Sharing | None,
        watched: Watched,
    ) -> None:
        self._prepared = prepared
        self._stores = stores
        self._schedule = schedule
        self._pool = pool
        self._executions = Executions(prepared, stores, pool, writer, watched.resuming)
        self._resuming = watched.resuming
        self._events = pool.events
        self._writer = writer
        self._listener = listener
        self._sharing = sharing
        self._outdated = watched.outdated
        self._outcome = RunOutcome(run_id=writer.header.run_id)
        self._signalled: int | None = None
        self._restoring = Restoring(
            prepared.project, stores.blobs, self._executions, sharing, done=self._events.put
        )

    def run(self) -> RunOutcome:
        """Carry everything out; returns when every task has ended, whatever its end."""
        try:
            with handling(self._note_signal):
                self._follow(self._schedule.start())
                while not self._schedule.done:
                    self._stop_outdated()
                    for name in self._executions.begin_what_fits():
                        self._schedule.handle(Began(task=name))
                    self._receive()
        except OSError as error:
            self._give_up(error)
        finally:
            self._restoring.close()
            self._executions.return_all_outputs()
        # one that came too late to end anything counts as well
        self._outcome.signal = self._signalled
        return self._outcome

    def _give_up(self, error: OSError) -> None:
        """End a run whose driver the machine refuses something, such as room on a full disk."""
        if self._sharing is not None:
            self._sharing.give_up("the build ended")
        where = f": {error.filename}" if error.filename else ""
        self._outcome.error = f"{error.strerror or error}{where}"
        deadline = time.monotonic() + GRACE_S
        for name in self._pool.running:
            self._pool.cancel(name, 0.0)
        while self._pool.running and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                item = self._events.get(timeout=TICK_S)
                if isinstance(item, Ended):
                    self._tell(item)
        for name in self._prepared.graph.order:
            if name not in self._outcome.tasks:
                self._end(TaskOutcome(task=name, status="cancelled"))

    def _receive(self) -> None:
        """Handle what happened, or let the listeners draw when nothing does."""
        try:
            item = self._events.get(timeout=TICK_S)
        except queue.Empty:
            self._listener.tick()
            return
        match item:
            case PutBack():
                self._note_put_back(item)
            case Sought():
                self._follow(self._schedule.handle(item))
            case ModulesAsked():
                item.answer(self._prepared.survey)
            case _Signal(number=number):
                self._interrupt(number)
            case Ended():
                self._tell(item)
                self._note_end(item)
            case ExecutorLost(reason=reason):
                self._tell(item)
                self._listener.said(f"warning: {reason}")
            case _:
                self._tell(item)  # type: ignore[arg-type]

    def _tell(self, event: Event) -> None:
        self._pool.note(event)
        if self._resuming is not None and (message := self._resuming.heard(event)):
            self._listener.said(message)
        self._listener.happened(event)

    def _follow(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Keep(task=task, record=record):
                    self._end(self._hit(task, "up_to_date", record))
                case Restore():
                    self._restoring.begin(instruction)
                case Seek(task=task):
                    if self._sharing is None:
                        self._events.put(Sought(task=task))
                    else:
                        self._sharing.seek(instruction, self._schedule.results_above(task))
                case Run(task=task, reasons=reasons):
                    self._executions.add(instruction, self._schedule.results_above(task))
                    self._listener.queued(task, reasons)
                case Skip(task=task, because=because):
                    self._end(TaskOutcome(task=task, status="skipped", because=because))
                case Abandon(task=task):
                    execution = self._executions.remove(task)
                    reasons = execution.run.reasons if execution else ()
                    self._end(TaskOutcome(task=task, status="cancelled", reasons=reasons))

    def _hit(self, task: TaskName, status: str, record: Record, kept: tuple[Kept, ...] = ()) -> TaskOutcome:
        draft = self._stores.drafts.is_draft(task, record)
        if not draft:
            self._stores.drafts.forget(task)
        return TaskOutcome(task=task, status=status, record=record, kept=kept, draft=draft)

    def _end(self, outcome: TaskOutcome) -> None:
        project = self._prepared.project
        outcome = dataclasses.replace(outcome, notebook_source=self._source(outcome.task))
        task = self._prepared.graph.tasks[outcome.task]
        outcome = with_notebook_output(outcome, task, project, self._stores.blobs)
        self._outcome.tasks[outcome.task] = outcome
        if outcome.record is not None:
            note = self._stores.last.note_draft if outcome.draft else self._stores.last.note
            note(outcome.task, outcome.record)
        for message in outcome.warnings:
            self._listener.said(f"warning: {outcome.task}: {message}")
        self._say_what_was_kept(outcome.kept)
        self._listener.ended(outcome)

    def _say_what_was_kept(self, kept: Iterable[Kept]) -> None:
        for file in kept:
            self._listener.said(way_back(self._prepared.project, file))

    def _source(self, task: TaskName) -> str | None:
        """Name the blob of a task's notebook as it is now."""
        work = self._prepared.graph.tasks[task].work
        if not isinstance(work, Notebook):
            return None
        try:
            return self._prepared.survey.sources.blob(work.path, self._stores.blobs)
        except OSError:
            # removed while the build ran; the record does without
            return None

    def _note_put_back(self, item: PutBack) -> None:
        task, record = item.instruction.task, item.instruction.record
        if item.error is None:
            self._end(self._hit(task, "restored", record, item.kept))
            self._follow(self._schedule.handle(Restored(task=task)))
        else:
            self._listener.said(f"warning: {task} runs again: {item.error}")
            self._say_what_was_kept(item.kept)
            self._follow(self._schedule.handle(Unrestorable(task=task)))

    # executing

    def _note_end(self, event: Ended) -> None:
        task = self._prepared.graph.tasks[TaskName(event.task)]
        execution = self._executions.get(task.name)
        result = judged(task, event.result, self._prepared.project, execution.sees)
        self._executions.note_attempt(execution, result)
        if result.outcome == "succeeded":
            self._succeed(task, execution, result)
            return
        folder = self._executions.return_outputs(execution)
        if result.outcome == "cancelled":
            self._finish(execution, "cancelled", folder)
            self._follow(self._schedule.handle(Stopped(task=task.name)))
            return
        delay = self._executions.retry(task.name) if self._outcome.signal is None else None
        if delay is None:
            draft = self._is_draft(task.name, result)
            self._finish(execution, "failed", folder, draft=draft)
            if not draft:
                self._settle(task.name, execution, None)
            self._follow(self._schedule.handle(Failed(task=task.name)))
        else:
            self._listener.retrying(task.name, len(execution.attempts) + 1, delay)

    def _succeed(self, task: Task, execution: Execution, attempt: AttemptResult) -> None:
        origin = origin_of(attempt, self._writer.header, self._writer.task_span_id(task.name))
        identity, above, source = execution.run.identity, execution.above, self._source(task.name)
        made = record_of(task, self._prepared, identity, attempt, above, origin, source)
        warnings = [made.instability] if made.unstable else []
        if made.record.undeclared:
            warnings.append(declarations(made.record.undeclared))
        draft = self._is_draft(task.name, attempt)
        publishes = self._prepared.writes_cache and task.policy.cache and not made.unstable and not draft
        if publishes:
            self._stores.records.publish(made.record)
            if self._sharing is not None:
                self._sharing.send(made.record)
        if draft and not made.unstable:
            self._stores.drafts.note(task.name, made.record)
        self._executions.accept_outputs(execution)
        self._finish(
            execution, "ran", record=made.record, published=publishes, draft=draft, warnings=tuple(warnings)
        )
        if not draft:
            self._settle(task.name, execution, made.record)
        result = result_of(made.record, task.parameters)
        self._follow(self._schedule.handle(Finished(task=task.name, result=result)))

    def _is_draft(self, task: TaskName, attempt: AttemptResult) -> bool:
        """Say whether a result came from a snapshot, its own or that of a task above."""
        above = self._prepared.graph.above((task,))
        ended = self._outcome.tasks
        return attempt.resumed or any(name in ended and ended[name].draft for name in above)

    def _settle(self, task: TaskName, execution: Execution, record: Record | None) -> None:
        """Compare what a run from the start left, if it succeeded, with the draft of the same."""
        key, cells = execution.run.identity.static_key, self._prepared.facts[task].cells
        if verdict := self._stores.drafts.settle(task, key, record, self._stores.blobs, cells):
            self._listener.said(verdict)

    def _finish(
        self,
        execution: Execution,
        status: str,
        failed_folder: str | None = None,
        *,
        record: Record | None = None,
        published: bool = False,
        draft: bool = False,
        warnings: tuple[str, ...] = (),
    ) -> None:
        name = execution.run.task
        self._executions.remove(name)
        self._end(
            TaskOutcome(
                task=name,
                status=status,
                reasons=execution.run.reasons,
                record=record,
                published=published,
                draft=draft,
                attempts=tuple(execution.attempts),
                kept=execution.kept,
                failed_folder=failed_folder,
                warnings=warnings,
            )
        )

    # interrupting

    def _interrupt(self, number: int) -> None:
        """End what runs; a second signal does not wait for it."""
        grace = GRACE_S if self._outcome.signal is None else 0.0
        if self._sharing is not None:
            self._sharing.give_up("the build was interrupted")
        if self._outcome.signal is None:
            self._outcome.signal = number
            self._follow(self._schedule.handle(Interrupted()))
        self._stop(self._prepared.graph.tasks, grace)

    def _stop_outdated(self) -> None:
        outdated = self._outdated()
        if outdated:
            self._follow(self._schedule.handle(Outdated(tasks=outdated)))
            self._stop(outdated, GRACE_S)

    def _stop(self, tasks: Collection[TaskName], grace: float) -> None:
        """End those tasks that have begun."""
        for name in self._executions.between_attempts():
            if name in tasks:
                self._finish(self._executions.get(name), "cancelled")
                self._follow(self._schedule.handle(Stopped(task=name)))
        for name in self._pool.running:
            if name in tasks:
                self._pool.cancel(name, grace)

    def _note_signal(self, number: int) -> None:
        self._signalled = self._signalled or number
        self._events.put(_Signal(number))
