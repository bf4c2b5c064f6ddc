"""The loop of a build: instructions of the schedule are carried out, what happens is told to it."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from msgspec.structs import replace

from nbmake_dag.build.environment import work_environment
from nbmake_dag.build.keep import keep_bytes, restore
from nbmake_dag.build.listener import Listener
from nbmake_dag.build.outcome import Kept, RunOutcome, TaskOutcome
from nbmake_dag.build.pace import urgency, wants_ray
from nbmake_dag.build.pool import RAY, Pool
from nbmake_dag.build.prepare import Prepared, Stores
from nbmake_dag.build.publish import record_of, undeclared
from nbmake_dag.build.specs import attempt_spec
from nbmake_dag.core.facts import Result
from nbmake_dag.core.model import ProjectPath, Task, TaskName
from nbmake_dag.core.schedule import (
    Abandon,
    Began,
    Failed,
    Finished,
    Instruction,
    Interrupted,
    Keep,
    Restore,
    Restored,
    Run,
    Schedule,
    Skip,
    Stopped,
    Unrestorable,
)
from nbmake_dag.execute.aside import Aside, drop, put_back, set_aside
from nbmake_dag.execute.protocol import AttemptResult, Ended, Event, ExecutorLost, Failure
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.place import Place
from nbmake_dag_cache.record import Access, Origin, Record
from nbmake_dag_reporting import schema

TICK_S = 0.1
GRACE_S = 3.0
"""Between the interrupt and the kill of running work."""
INFRASTRUCTURE_RETRIES = 2


@dataclass(frozen=True, slots=True)
class _PutBack:
    """Outputs of a hit were put back, or could not be."""

    task: TaskName
    kept: tuple[Kept, ...]
    error: BlobError | OSError | None


@dataclass(frozen=True, slots=True)
class _Signal:
    number: int


@dataclass(slots=True)
class _Execution:
    """A task that was told to run: its attempts so far, and where its old outputs are."""

    run: Run
    attempts: list[AttemptResult] = field(default_factory=list[AttemptResult])
    aside: Aside | None = None
    kept: tuple[Kept, ...] = ()
    not_before: float = 0.0
    waiting_since: float = field(default_factory=time.monotonic)

    @property
    def failures(self) -> int:
        return sum(attempt.outcome in {"failed", "timeout"} for attempt in self.attempts)

    @property
    def losses(self) -> int:
        return sum(attempt.outcome == "lost" for attempt in self.attempts)


class Loop:
    """Runs one schedule to its end, in the thread that made it."""

    def __init__(
        self,
        prepared: Prepared,
        stores: Stores,
        schedule: Schedule,
        *,
        pool: Pool,
        events: queue.SimpleQueue[object],
        writer: RunWriter,
        listeners: Sequence[Listener],
        writes_cache: bool,
    ) -> None:
        self._prepared = prepared
        self._stores = stores
        self._schedule = schedule
        self._pool = pool
        self._events = events
        self._header = writer.header
        self._writer = writer
        self._listeners = listeners
        self._writes_cache = writes_cache
        self._outcome = RunOutcome(run_id=writer.header.run_id)
        self._executions: dict[TaskName, _Execution] = {}
        self._queued: dict[TaskName, _Execution] = {}
        self._durations = stores.last.durations()
        self._urgency = urgency(prepared.graph, self._durations)
        self._seen: list[float] = []
        revision = writer.header.resource.attributes.get(schema.VCS_HEAD_REVISION)
        self._commit = str(revision) if revision else None
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="restore")

    def run(self) -> RunOutcome:
        """Carry everything out; returns when every task has ended, whatever its end."""
        begun = time.monotonic()
        try:
            with self._signals():
                self._follow(self._schedule.start())
                while not self._schedule.done:
                    self._admit()
                    self._receive()
        finally:
            self._threads.shutdown()
            for execution in self._executions.values():
                self._return_outputs(execution)
        self._outcome.duration_s = time.monotonic() - begun
        return self._outcome

    def _receive(self) -> None:
        """Handle what happened, or let the listeners draw when nothing does."""
        try:
            item = self._events.get(timeout=TICK_S)
        except queue.Empty:
            for listener in self._listeners:
                listener.tick()
            return
        match item:
            case _PutBack():
                self._note_put_back(item)
            case _Signal(number=number):
                self._interrupt(number)
            case Ended():
                self._tell(item)
                self._note_end(item)
            case ExecutorLost(reason=reason):
                self._tell(item)
                self._say(f"warning: {reason}")
            case _:
                self._tell(item)  # type: ignore[arg-type]

    def _tell(self, event: Event) -> None:
        self._pool.note(event)
        for listener in self._listeners:
            listener.happened(event)

    def _say(self, message: str) -> None:
        for listener in self._listeners:
            listener.said(message)

    def _follow(self, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Keep(task=task, record=record):
                    self._end(TaskOutcome(task=task, status="up_to_date", record=record))
                case Restore():
                    self._restore(instruction)
                case Run(task=task, reasons=reasons):
                    self._executions[task] = self._queued[task] = _Execution(run=instruction)
                    for listener in self._listeners:
                        listener.queued(task, reasons)
                case Skip(task=task, because=because):
                    self._end(TaskOutcome(task=task, status="skipped", because=because))
                case Abandon(task=task):
                    self._queued.pop(task, None)
                    execution = self._executions.pop(task, None)
                    reasons = execution.run.reasons if execution else ()
                    self._end(TaskOutcome(task=task, status="cancelled", reasons=reasons))

    def _end(self, outcome: TaskOutcome) -> None:
        self._outcome.tasks[outcome.task] = outcome
        if outcome.record is not None and outcome.status in {"up_to_date", "restored", "ran"}:
            self._stores.last.note(outcome.task, outcome.record)
        for message in outcome.warnings:
            self._say(f"warning: {outcome.task}: {message}")
        for kept in outcome.kept:
            blob = os.path.relpath(
                Place(self._prepared.project.cache).blob(kept.sha256), self._prepared.project.root
            )
            self._say(f"{kept.path} was not ours; what it held is kept: cp {blob} {kept.path}")
        for listener in self._listeners:
            listener.ended(outcome)

    # restoring

    def _restore(self, instruction: Restore) -> None:
        self._threads.submit(self._put_in_place, instruction)

    def _put_in_place(self, instruction: Restore) -> None:
        """Put outputs back, in a thread of their own; what came of it is an event."""
        kept: tuple[Kept, ...] = ()
        error: BlobError | OSError | None = None
        missing = set(instruction.missing)
        outputs = [output for output in instruction.record.outputs if output.path in missing]
        try:
            kept = self._keep(instruction.task, instruction.missing)
            restore(self._prepared.project, self._stores.blobs, outputs)
        except (BlobError, OSError) as failure:
            error = failure
        self._events.put(_PutBack(instruction.task, kept, error))

    def _note_put_back(self, item: _PutBack) -> None:
        if item.error is None:
            record = self._schedule.record(item.task)
            self._end(TaskOutcome(task=item.task, status="restored", record=record, kept=item.kept))
            self._follow(self._schedule.handle(Restored(task=item.task)))
        else:
            self._say(f"warning: {item.task} runs again: {item.error}")
            self._follow(self._schedule.handle(Unrestorable(task=item.task)))
            self._executions[item.task].kept = item.kept

    def _keep(self, task: TaskName, paths: Sequence[ProjectPath]) -> tuple[Kept, ...]:
        facts = self._prepared.facts[task]
        known = (*facts.records, *([facts.previous] if facts.previous else ()))
        return keep_bytes(self._prepared.project, self._stores.blobs, paths, known)

    # executing

    def _admit(self) -> None:
        """Begin what is ready and has room, the most urgent first; start Ray when waiting is dearer."""
        now = time.monotonic()
        ready = [name for name, execution in self._queued.items() if execution.not_before <= now]
        ready.sort(key=lambda name: -self._urgency[name])
        for name in ready:
            executor = self._pool.place(self._prepared.graph.tasks[name])
            if executor is not None:
                self._begin(name, executor)
        waiting = [name for name in ready if name in self._queued]
        if waiting and self._pool.may_want_ray:
            waited = now - min(self._queued[name].waiting_since for name in waiting)
            if wants_ray(waiting, self._durations, self._seen, waited) or self._needs_ray(waiting):
                self._pool.start(RAY)

    def _needs_ray(self, names: Iterable[TaskName]) -> bool:
        return any(self._prepared.graph.tasks[name].policy.resources.gpus for name in names)

    def _begin(self, name: TaskName, executor: str) -> None:
        task = self._prepared.graph.tasks[name]
        execution = self._queued.pop(name)
        number = len(execution.attempts) + 1
        project = self._prepared.project
        failed = os.path.join(project.failed, self._header.run_id, folder_name(name))
        outputs = [output.path for output in task.outputs]
        if number == 1:
            execution.kept = (*execution.kept, *self._keep(name, outputs))
            self._schedule.handle(Began(task=name))
        execution.aside = set_aside(project.state, project.root, outputs, failed)
        scratch = os.path.join(self._pool.runtime, f"{folder_name(name)[:40]}-{number}-{len(self._seen)}")
        os.mkdir(scratch, 0o700)
        env = work_environment(
            task,
            self._prepared.variables,
            project,
            run_id=self._header.run_id,
            attempt=number,
            traceparent=self._writer.traceparent_for(name, number),
        )
        spec = attempt_spec(
            task,
            self._prepared,
            self._schedule.results_above(name),
            run_id=self._header.run_id,
            attempt=number,
            env=env,
            scratch=scratch,
            runtime=self._pool.runtime,
        )
        self._pool.submit(executor, spec, task)

    def _note_end(self, event: Ended) -> None:
        task = self._prepared.graph.tasks[TaskName(event.task)]
        execution = self._executions[task.name]
        result = self._strict(task, event.result)
        execution.attempts.append(result)
        self._seen.append((result.ended - result.started) / 1e9)
        if result.outcome == "succeeded":
            self._succeed(task, execution, result)
            return
        folder = self._return_outputs(execution, result)
        if result.outcome == "cancelled":
            self._finish(execution, "cancelled", folder)
            self._follow(self._schedule.handle(Stopped(task=task.name)))
        elif self._may_retry(task, execution, result):
            delay = task.policy.retry_delay if result.outcome != "lost" else 0.0
            execution.not_before = time.monotonic() + delay
            self._queued[task.name] = execution
            for listener in self._listeners:
                listener.retrying(task.name, len(execution.attempts) + 1, delay)
        else:
            self._finish(execution, "failed", folder)
            self._follow(self._schedule.handle(Failed(task=task.name)))

    def _strict(self, task: Task, result: AttemptResult) -> AttemptResult:
        """Fail a strict task that used what it did not declare."""
        found = undeclared(task, result.accesses)
        if result.outcome != "succeeded" or not found or not (task.policy.strict or task.policy.sandbox):
            return result
        failure = Failure(type="UndeclaredAccess", message=declarations(found))
        return replace(result, outcome="failed", failure=failure)

    def _may_retry(self, task: Task, execution: _Execution, result: AttemptResult) -> bool:
        if self._outcome.signal is not None:
            return False
        if result.outcome == "lost":
            return execution.losses <= INFRASTRUCTURE_RETRIES
        return execution.failures <= task.policy.retries

    def _succeed(self, task: Task, execution: _Execution, attempt: AttemptResult) -> None:
        above = self._schedule.results_above(task.name)
        origin = Origin(
            run_id=self._header.run_id,
            trace_id=self._header.trace_id,
            span_id=self._writer.task_span_id(task.name),
            started=attempt.started,
            duration_s=(attempt.ended - attempt.started) / 1e9,
            commit=self._commit,
        )
        execution_record = record_of(task, self._prepared, execution.run.identity, attempt, above, origin)
        record = execution_record.record
        warnings = [f"not recorded: {what} while it ran" for what in execution_record.unstable]
        if record.undeclared:
            warnings.append(declarations(record.undeclared))
        if self._writes_cache and task.policy.cache and not execution_record.unstable:
            self._stores.records.publish(record)
        if execution.aside is not None:
            drop(execution.aside)
            execution.aside = None
        self._finish(execution, "ran", None, record, tuple(warnings))
        result = Result(
            outputs={ProjectPath(output.path): output for output in attempt.outputs},
            logged=attempt.logged,
            parameters=task.parameters,
        )
        self._follow(self._schedule.handle(Finished(task=task.name, result=result)))

    def _finish(
        self,
        execution: _Execution,
        status: str,
        failed_folder: str | None,
        record: Record | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        name = execution.run.task
        del self._executions[name]
        self._end(
            TaskOutcome(
                task=name,
                status=status,
                reasons=execution.run.reasons,
                record=record,
                attempts=tuple(execution.attempts),
                kept=execution.kept,
                failed_folder=failed_folder,
                warnings=warnings,
            )
        )

    def _return_outputs(self, execution: _Execution, result: AttemptResult | None = None) -> str | None:
        """Put previous outputs back, keep what the attempt left; return the folder that has it, if any."""
        if execution.aside is None:
            return None
        aside, execution.aside = execution.aside, None
        kept = bool(put_back(aside))
        if result is not None and result.notebook is not None:
            self._stores.blobs.restore(result.notebook, os.path.join(aside.partial_to, "executed.ipynb"))
            kept = True
        return self._prepared.project.relative(aside.partial_to) if kept else None

    # interrupting

    def _interrupt(self, number: int) -> None:
        """End what runs; a second signal does not wait for it."""
        if self._outcome.signal is None:
            self._outcome.signal = number
            self._follow(self._schedule.handle(Interrupted()))
            for name in [name for name in self._queued if name in self._executions]:
                # between two attempts: it has begun, and nothing of it runs
                execution = self._queued.pop(name)
                self._finish(execution, "cancelled", None)
                self._follow(self._schedule.handle(Stopped(task=name)))
            grace = GRACE_S
        else:
            grace = 0.0
        for name in self._pool.running:
            self._pool.cancel(name, grace)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn signals into events while the loop runs."""

        def note(number: int, _: FrameType | None) -> None:
            self._events.put(_Signal(number))

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def folder_name(task: TaskName) -> str:
    """Return a task's name as the name of a folder; names that are no file names get a digest."""
    plain = re.sub(r"[^A-Za-z0-9._=,\[\]-]", "_", task)[:100]
    return plain if plain == task else f"{plain}-{digest_text(task)[:8]}"


def declarations(found: Iterable[Access]) -> str:
    """Say undeclared accesses as the lines that declare them."""
    reads = [access.path for access in found if access.mode == "read"]
    writes = [access.path for access in found if access.mode == "write"]
    lines = [f"{key} += {json.dumps(paths)}" for key, paths in (("inputs", reads), ("outputs", writes)) if paths]
    return f"it used files that it does not declare; add {', '.join(lines)}"
