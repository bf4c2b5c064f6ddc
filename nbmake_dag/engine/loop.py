"""The loop of a build: carry out the instructions of the schedule, and report events to it."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Collection, Iterable

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.facts import result_of
from nbmake_dag.core.ingredients import modules_among
from nbmake_dag.core.model import Task, TaskName
from nbmake_dag.core.schedule import (
    Began,
    Cancel,
    Execute,
    Expand,
    Expanded,
    Failed,
    Finished,
    GivenUp,
    Instruction,
    Interrupted,
    LookedUp,
    LookUp,
    MarkUpToDate,
    Outdated,
    Restore,
    Restored,
    Returned,
    Schedule,
    Skip,
    Stopped,
    Unrestorable,
)
from nbmake_dag.ending_signals import handling
from nbmake_dag.engine.dispatch.dispatcher import Dispatched, Dispatcher
from nbmake_dag.engine.dispatch.pool import Pool
from nbmake_dag.engine.dispatch.resuming import Watched
from nbmake_dag.engine.prepare import Prepared, prepare_further
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.ends import Ends
from nbmake_dag.engine.results.publish import Publication, kept_inputs, origin_of, record_of
from nbmake_dag.engine.results.restore import PutBack, Restoring
from nbmake_dag.engine.results.undeclared import judged, undeclared_warning
from nbmake_dag.engine.shared_cache.client import ExecutedElsewhere, ModulesAsked, Sharing
from nbmake_dag.engine.state.leftovers import describe_moved, move_away
from nbmake_dag.engine.state.lock import BuildLock
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import InfrastructureError, NbdagError, UsageError, describe
from nbmake_dag.execute import protocol
from nbmake_dag.execute.protocol import AttemptResult, Ended, Event, ExecutorLost
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome
from nbmake_dag.record.run_events import (
    ExecutorReported,
    Listener,
    Notice,
    RetryScheduled,
    TaskQueued,
    TasksKnown,
    TaskWaits,
    Tick,
)
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_cache.record import Record, RecordTooLargeError, encode_record
from nbmake_dag_reporting.vocabulary import TaskStatus

TICK_S = 0.1
GRACE_S = 3.0
"""Between the interrupt and the kill of running work."""


class _Signal(msgspec.Struct, frozen=True):
    number: int


class Loop:
    """Runs one schedule to its end, in the thread that made it."""

    def __init__(
        self,
        prepared: Prepared,
        stores: Stores,
        request: Request,
        *,
        pool: Pool,
        writer: RunWriter,
        listener: Listener,
        sharing: Sharing | None,
        watched: Watched,
    ) -> None:
        self._prepared = prepared
        self._request = request
        self._stores = stores
        self._schedule = Schedule(prepared.graph, prepared.facts, prepared.rules, keep_going=request.keep_going)
        self._pool = pool
        self._dispatcher = Dispatcher(prepared, stores, pool, writer, watched.resuming)
        self._resuming = watched.resuming
        self._events = pool.events
        self._writer = writer
        self._listener = listener
        self._sharing = sharing
        self._outdated = watched.outdated
        self._outcome = RunOutcome(run_id=writer.header.run_id)
        self._ends = Ends(prepared, stores, listener, self._outcome)
        self._redactor = Redactor(prepared.survey.secrets)
        self._signalled: int | None = None
        self._restoring = Restoring(
            prepared.project, stores.blobs, self._dispatcher.rescue, sharing, done=self._events.put
        )

    def run(self, lock: BuildLock) -> RunOutcome:
        """Carry everything out while the lock holds; returns when every task has ended."""
        try:
            with handling(self._note_signal):
                self._follow(self._schedule.start())
                while not self._schedule.done:
                    lock.check()
                    self._stop_outdated()
                    for name in self._dispatcher.begin_what_fits():
                        self._schedule.handle(Began(task=name))
                    for name, pool in self._dispatcher.waits():
                        self._listener.notify(TaskWaits(task=name, pool=pool))
                    self._receive(lock)
        except (OSError, InfrastructureError) as error:
            self._give_up(describe(error))
        finally:
            self._restoring.close()
            self._dispatcher.close()
        for executor, costs in self._pool.costs():
            self._stores.previous.note_costs(executor, costs)
        # one that came too late to end anything counts as well
        self._outcome.signal = self._signalled
        return self._outcome

    def _give_up(self, why: str) -> None:
        """End a run whose driver the machine refuses something, such as room on a full disk."""
        if self._sharing is not None:
            self._sharing.give_up("the build ended")
        self._outcome.error = why
        self._restoring.cancel(self._prepared.graph.tasks)
        deadline = time.monotonic() + GRACE_S
        for name in self._pool.running:
            self._pool.cancel(name, 0.0)
        while self._pool.running and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                item = self._events.get(timeout=TICK_S)
                if isinstance(item, Ended | protocol.Returned):
                    self._tell(item)
        for name in self._prepared.graph.order:
            if name not in self._outcome.tasks:
                self._ends.note(TaskOutcome(task=name, status="cancelled"))

    def _receive(self, lock: BuildLock) -> None:
        """Handle what happened, or let the listeners draw when nothing does."""
        try:
            item = self._events.get(timeout=TICK_S)
        except queue.Empty:
            self._listener.notify(Tick())
            return
        match item:
            case PutBack():
                self._note_put_back(item)
            case LookedUp():
                lock.check()
                self._note_looked_up(item)
            case ExecutedElsewhere(task=task):
                self._listener.notify(Notice(text=f"{task}: another build executes it; waiting for its result"))
            case ModulesAsked():
                item.answer(self._prepared.survey)
            case _Signal(number=number):
                self._interrupt(number)
            case Ended():
                item = self._redacted(item)
                self._tell(item)
                # nothing is published or moved back without the lock
                lock.check()
                self._note_end(item)
            case protocol.Returned():
                self._tell(item)
                lock.check()
                self._note_returned(TaskName(item.task))
            case ExecutorLost(reason=reason):
                self._tell(item)
                self._listener.notify(Notice(text=f"warning: {self._redactor.text(reason)}"))
            case _:
                self._tell(item)  # type: ignore[arg-type]

    def _redacted(self, event: Ended) -> Ended:
        """Redact the failure of an attempt that was lost: where it ran, nobody could."""
        failure = event.result.failure
        if failure is None or event.result.outcome != "lost":
            return event
        return replace(event, result=replace(event.result, failure=self._redactor.failure(failure)))

    def _tell(self, event: Event) -> None:
        if isinstance(event, protocol.EnvironmentMade):
            event = replace(event, error=self._redactor.text(event.error))
        self._pool.note(event)
        if self._resuming is not None and (message := self._resuming.heard(event)):
            self._listener.notify(Notice(text=message))
        self._listener.notify(ExecutorReported(event=event))
        if line := _line_of(event):
            self._listener.notify(Notice(text=line))

    def _follow(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case MarkUpToDate(task=task, record=record):
                    self._ends.note_hit(task, "up_to_date", record)
                case Restore():
                    self._restoring.begin(instruction)
                case LookUp(task=task):
                    if self._sharing is None:
                        self._events.put(LookedUp(task=task))
                    else:
                        self._sharing.look_up(instruction, self._schedule.upstream_results(task))
                case Execute(task=task, reasons=reasons, codes=codes):
                    self._dispatcher.add(instruction, self._schedule.upstream_results(task))
                    self._listener.notify(TaskQueued(task=task, reasons=reasons, codes=codes))
                case Expand(task=task):
                    self._expand(task)
                case Skip(task=task, because=because):
                    self._ends.note(TaskOutcome(task=task, status="skipped", because=because))
                case Cancel(task=task):
                    self._note_cancelled(task)

    def _expand(self, name: TaskName) -> None:
        """Find the instances of a family, and of others that are known now; the files of those that left go."""
        if name not in self._prepared.graph.tasks:
            return
        try:
            known = prepare_further(self._prepared, self._request, self._stores, name, self._schedule.results)
            writing = (task for task in self._prepared.graph.tasks.values() if not task.is_unknown)
            moved = move_away(self._prepared.project, known.leftovers, known.whole, writing)
        except NbdagError as error:
            self._outcome.misused |= isinstance(error, UsageError)
            self._dispatcher.refuse(name, str(error))
            return
        for text in (*([describe_moved(moved)] if moved else ()), *known.lines):
            if text not in self._prepared.lines:
                self._listener.notify(Notice(text=text))
        known.leftovers = (*self._prepared.leftovers, *known.leftovers)
        before, graph = self._prepared.graph, known.graph
        self._prepared.become(known)
        self._dispatcher.take_new_tasks()
        self._listener.notify(TasksKnown(before=before, graph=graph))
        self._follow(self._schedule.handle(Expanded(task=name, graph=graph, facts=known.facts, rules=known.rules)))

    def _note_looked_up(self, answer: LookedUp) -> None:
        if self._sharing is not None:
            answer = self._sharing.accept(answer)
        self._follow(self._schedule.handle(answer))

    def _note_cancelled(self, name: TaskName) -> None:
        if self._sharing is not None:
            self._sharing.drop(name)
        dispatched = self._dispatcher.remove(name)
        reasons, codes = (dispatched.instruction.reasons, dispatched.instruction.codes) if dispatched else ((), ())
        self._ends.note(TaskOutcome(task=name, status="cancelled", reasons=reasons, codes=codes))

    def _note_put_back(self, item: PutBack) -> None:
        task, record = item.instruction.task, item.instruction.record
        if item.error is None:
            self._ends.note_hit(task, "restored", record, item.rescued)
            self._follow(self._schedule.handle(Restored(task=task)))
        else:
            self._listener.notify(Notice(text=f"warning: {task} runs again: {describe(item.error)}"))
            self._ends.report_rescued(item.rescued)
            self._follow(self._schedule.handle(Unrestorable(task=task)))

    # executing

    def _note_end(self, event: Ended) -> None:
        task = self._prepared.graph.tasks[TaskName(event.task)]
        dispatched = self._dispatcher.get(task.name)
        code = modules_among(self._prepared.facts[task.name].own)
        result = judged(task, event.result, self._prepared.project, dispatched.sees, code)
        self._dispatcher.note_attempt(dispatched, result)
        if result.outcome == "succeeded":
            self._succeed(task, dispatched, result)
            return
        folder = self._dispatcher.return_outputs(dispatched)
        if result.outcome == "cancelled":
            self._finish(dispatched, "cancelled", folder)
            self._follow(self._schedule.handle(Stopped(task=task.name)))
            return
        delay = self._dispatcher.retry(task.name) if self._outcome.signal is None else None
        if delay is None:
            draft = self._ends.is_draft(task.name, result)
            self._finish(dispatched, "failed", folder, draft=draft, warnings=self._absent_secrets(task))
            if draft:
                self._ends.note_failed_draft(task.name)
            else:
                self._ends.compare_with_draft(dispatched.instruction, None)
            self._follow(self._schedule.handle(Failed(task=task.name)))
            if self._sharing is not None and self._schedule.is_closed:
                self._sharing.claim_no_more()
        else:
            if result.failed_as_draft:
                self._ends.note_failed_draft(task.name)
            self._listener.notify(
                RetryScheduled(task=task.name, attempt=len(dispatched.attempts) + 1, delay_s=delay)
            )

    def _note_returned(self, name: TaskName) -> None:
        """Let a task begin later that waited in an executor, if anything is to begin still."""
        self._dispatcher.take_back(name)
        self._follow(self._schedule.handle(Returned(task=name)))

    def _succeed(self, task: Task, dispatched: Dispatched, attempt: AttemptResult) -> None:
        origin = origin_of(attempt, self._writer.header, self._writer.task_span_id(task.name))
        keys, results = dispatched.instruction.keys, dispatched.results
        facts, source = self._prepared.facts[task.name], self._ends.source(task.name)
        publication = record_of(task, self._prepared.survey, facts, keys, attempt, results, origin, source)
        warnings = [publication.instability] if publication.unstable else []
        if publication.record.undeclared:
            warnings.append(undeclared_warning(task.name, publication.record.undeclared))
        warnings += [f"not recorded: {found}" for found in attempt.withheld]
        if attempt.mistaken:
            warnings.append(f"not recorded: {attempt.mistaken}")
        absent = self._absent_secrets(task)
        warnings += [f"not recorded: {absence}" for absence in absent]
        draft = self._ends.is_draft(task.name, attempt)
        encoded = encode_record(publication.record) if self._redactor else b""
        if name := self._redactor.name_in_data(encoded):
            # such as the name of an input
            warnings.append(f"not recorded: its record would hold the value of {name}")
        if self._prepared.pipeline.keep_inputs and not publication.unstable:
            kept = kept_inputs(facts, self._prepared.project, self._stores.blobs, self._redactor, warnings.append)
            publication = Publication(record=replace(publication.record, inputs=kept))
        is_sound = not (publication.unstable or attempt.withheld or attempt.mistaken or absent or name)
        publishes = (
            self._request.writes_cache
            and task.policy.cache
            and is_sound
            and not draft
            and self._publish(publication.record, warnings)
        )
        if draft and is_sound:
            self._stores.drafts.note(task.name, publication.record)
        self._dispatcher.accept_outputs(dispatched)
        self._finish(
            dispatched,
            "ran",
            record=publication.record,
            published=publishes,
            draft=draft,
            warnings=tuple(warnings),
        )
        if not draft:
            self._ends.compare_with_draft(dispatched.instruction, publication.record)
        elif dispatched.attempts[0].failed_as_draft:
            self._ends.refute_failure(task.name)
        result = result_of(publication.record, task.parameters)
        self._follow(self._schedule.handle(Finished(task=task.name, result=result)))

    def _absent_secrets(self, task: Task) -> tuple[str, ...]:
        """Name the secrets of a task that are not set: its result may not be what it makes with them."""
        there = self._prepared.survey.secrets
        return tuple(f"`{name}`, a declared secret, is not set" for name in task.secrets if name not in there)

    def _finish(
        self,
        dispatched: Dispatched,
        status: TaskStatus,
        failed_folder: str | None = None,
        *,
        record: Record | None = None,
        published: bool = False,
        draft: bool = False,
        warnings: tuple[str, ...] = (),
    ) -> None:
        name = dispatched.instruction.task
        self._dispatcher.remove(name)
        if self._sharing is not None and not published:
            self._sharing.release(name)
        self._ends.note(
            TaskOutcome(
                task=name,
                status=status,
                reasons=dispatched.instruction.reasons,
                codes=dispatched.instruction.codes,
                record=record,
                published=published,
                draft=draft,
                attempts=tuple(dispatched.attempts),
                rescued=dispatched.rescued,
                failed_folder=failed_folder,
                warnings=tuple(dict.fromkeys((*dispatched.warnings, *warnings))),
            )
        )

    def _publish(self, record: Record, warnings: list[str]) -> bool:
        """Make a record visible, here and where it is shared; return whether there was room in one for it."""
        try:
            self._stores.records.publish(record)
        except RecordTooLargeError as error:
            warnings.append(f"not recorded: {error}")
            return False
        if self._sharing is not None:
            self._sharing.send(record)
        return True

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
        """End those tasks that have begun, and restore none of them any more."""
        for name in self._restoring.cancel(tasks):
            self._follow(self._schedule.handle(GivenUp(task=name)))
        for name in self._dispatcher.between_attempts():
            if name in tasks:
                self._finish(self._dispatcher.get(name), "cancelled")
                self._follow(self._schedule.handle(Stopped(task=name)))
        for name in self._pool.running:
            if name in tasks:
                self._pool.cancel(name, grace)

    def _note_signal(self, number: int) -> None:
        self._signalled = self._signalled or number
        self._events.put(_Signal(number))


def _line_of(event: Event) -> str:
    """Return what there is to say of an event, if anything."""
    match event:
        case protocol.MakingEnvironment(environment=name, packages=1):
            return f"making the environment `{name}`: 1 package"
        case protocol.MakingEnvironment(environment=name, packages=packages):
            return f"making the environment `{name}`: {packages} packages"
        case protocol.EnvironmentMade(environment=name, started=started, time=ended, error=""):
            return f"environment `{name}` made in {(ended - started) / 1e9:.1f} s"
        case protocol.ExecutorSays(text=text):
            return text
        case _:
            return ""
