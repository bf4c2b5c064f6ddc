"""Start tasks whose turn it is, follow their attempts, and keep their old outputs aside meanwhile."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Protocol

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.facts import Facts, Result
from nbmake_dag.core.lookup import TaskKeys
from nbmake_dag.core.model import Notebook, ProjectPath, Task, TaskName
from nbmake_dag.core.retry import delay_before_retry
from nbmake_dag.core.schedule import Execute
from nbmake_dag.engine.dispatch.attempt_specs import attempt_spec
from nbmake_dag.engine.dispatch.left_lines import LeftLines
from nbmake_dag.engine.dispatch.pool import Pool
from nbmake_dag.engine.dispatch.priority import HANDED_OVER_S, is_worth_its_start, longest_chains
from nbmake_dag.engine.dispatch.ready_queue import Queue
from nbmake_dag.engine.dispatch.resources import HINT, lacking
from nbmake_dag.engine.dispatch.resuming import Resuming
from nbmake_dag.engine.dispatch.task_environment import work_environment
from nbmake_dag.engine.dispatch.visible_files import seen_paths
from nbmake_dag.engine.state.previous_results import ExecutorCosts
from nbmake_dag.engine.state.rescued_files import SecretFileError, note_rescued, rescue_files
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import describe
from nbmake_dag.execute.executor_kind import Backend
from nbmake_dag.execute.output_backup import Aside, drop, put_back, set_aside
from nbmake_dag.execute.protocol import AttemptResult, Ended, Failure, SeenFile
from nbmake_dag.execute.redaction import Redactor, search_for
from nbmake_dag.observe.survey import Survey
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.key import Key
from nbmake_dag_reporting.vocabulary import AttemptOutcome

_LOOK_EVERY_S = 0.2
_TYPICAL_OF = 8
"""Attempts whose longest is what the next one of its kind is expected to take."""


class Dispatched(msgspec.Struct):
    """A task that is to be executed, and its attempts so far. ``results`` has those of all tasks above it."""

    instruction: Execute
    results: Mapping[TaskName, Result]
    sees: frozenset[str] = frozenset()
    """What its last attempt could see, if it may have run in a private copy of the repository."""
    attempts: list[AttemptResult] = []
    aside: Aside | None = None
    is_rescued: bool = False
    """Whether what its outputs replace was looked through; it is its own from then on."""
    rescued: tuple[RescuedFile, ...] = ()
    warnings: list[str] = []
    waiting_since: float = msgspec.field(default_factory=time.monotonic)


class Tasks(Protocol):
    """What was observed of the tasks of a build, to which some join while it goes on."""

    @property
    def survey(self) -> Survey: ...
    @property
    def facts(self) -> Mapping[TaskName, Facts]: ...


class Dispatcher:
    """Begins tasks as there is room for them; what their ends mean is decided elsewhere."""

    def __init__(
        self,
        tasks: Tasks,
        stores: Stores,
        pool: Pool,
        writer: RunWriter,
        resuming: Resuming | None,
    ) -> None:
        self._tasks = tasks
        self._stores = stores
        self._pool = pool
        self._writer = writer
        self._resuming = resuming
        self._all: dict[TaskName, Dispatched] = {}
        self._durations = stores.previous.durations()
        self._queue = Queue(longest_chains(tasks.survey.graph, self._durations), tasks.survey.pipeline.pools)
        self._seen: list[float] = []
        self._seen_of: dict[type, deque[float]] = {}
        """The seconds that the last attempts took, by the kind of work."""
        self._next_look = 0.0
        self._unfit: dict[TaskName, str] = {}
        self._refused: set[TaskName] = set()
        self._left = LeftLines()
        self._redactor = Redactor(tasks.survey.secrets)
        self._search = search_for(tasks.survey.secrets.keys(), tasks.survey.secrets)

    def add(self, instruction: Execute, results: Mapping[TaskName, Result]) -> None:
        self._all[instruction.task] = Dispatched(instruction=instruction, results=results)
        task = self._tasks.survey.graph.tasks[instruction.task]
        if instruction.task in self._tasks.survey.refused:
            refusal = self._tasks.survey.refused[instruction.task]
            self._unfit[instruction.task] = "; ".join(filter(None, (refusal.what, refusal.hint)))
        elif not self._pool.travels and (what := lacking(task.policy.resources)):
            self._unfit[instruction.task] = f"it needs {what}: {HINT}"
        else:
            self._queue.add(task)

    def refuse(self, family: TaskName, why: str) -> None:
        """Let a family fail whose instances cannot be made, with the reason."""
        keys = TaskKeys(own_key=Key(""), static_key=Key(""), ingredients=())
        instruction = Execute(
            task=family, keys=keys, reasons=("its instances are known now",), codes=("instances",)
        )
        self._all[family] = Dispatched(instruction=instruction, results={})
        self._refuse(family, why)

    def take_new_tasks(self) -> None:
        """Give the tasks that have become known their places in the queue."""
        self._queue.take_chains(longest_chains(self._tasks.survey.graph, self._durations))

    def get(self, task: TaskName) -> Dispatched:
        return self._all[task]

    def remove(self, task: TaskName) -> Dispatched | None:
        """Forget a task that has ended, or will not begin."""
        self._queue.remove(task)
        self._unfit.pop(task, None)
        return self._all.pop(task, None)

    def between_attempts(self) -> list[TaskName]:
        """Return the tasks that have begun, and of which nothing runs."""
        return [name for name in self._queue if self._all[name].attempts]

    def begin_what_fits(self) -> list[TaskName]:
        """Begin what is ready and has room, the highest priority first; return those whose first attempt it is.

        Where tasks have to wait and it would be sooner with another executor, that one is started.
        """
        begun: list[TaskName] = []
        now = time.monotonic()
        while self._unfit:
            name, why = self._unfit.popitem()
            begun.append(name)
            self._refuse(name, why)
        self._pool.recall_stuck()
        for task, backend in self._queue.placed(self._place, now):
            if not self._all[task.name].attempts:
                begun.append(task.name)
            self._begin(task.name, backend)
        if self._pool.unstarted and now >= self._next_look:
            self._next_look = now + _LOOK_EVERY_S
            self._start_what_pays(now)
        return begun

    def take_back(self, task: TaskName) -> None:
        """Queue a task again that an executor returned without beginning it."""
        self._queue.release(task)
        self.return_outputs(self._all[task])
        self._queue.add(self._tasks.survey.graph.tasks[task])

    def waits(self) -> Iterator[tuple[TaskName, str]]:
        """Yield the tasks that began to wait for a pool, with its name."""
        return self._queue.waits()

    def note_attempt(self, dispatched: Dispatched, result: AttemptResult) -> None:
        self._queue.release(dispatched.instruction.task)
        dispatched.attempts.append(result)
        seconds = (result.ended - result.started) / 1e9
        self._seen.append(seconds)
        kind = type(self._tasks.survey.graph.tasks[dispatched.instruction.task].work)
        self._seen_of.setdefault(kind, deque(maxlen=_TYPICAL_OF)).append(seconds)

    def retry(self, task: TaskName) -> float | None:
        """Queue a task again after a failed attempt; return the delay in seconds, ``None`` if it was the last.

        The failure of an attempt that was resumed may be due to that: it is repeated from the start, at once.
        """
        dispatched = self._all[task]
        queued = self._tasks.survey.graph.tasks[task]
        if task in self._refused or self._pool.cannot_run(queued):
            return None
        if dispatched.attempts[-1].failed_as_draft:
            delay: float | None = 0.0
        else:
            outcomes: list[AttemptOutcome] = [
                attempt.outcome for attempt in dispatched.attempts if not attempt.failed_as_draft
            ]
            delay = delay_before_retry(outcomes, queued.policy)
        if delay is not None:
            self._queue.add(queued, time.monotonic() + delay)
        return delay

    def rescue(self, task: TaskName, paths: Iterable[ProjectPath]) -> tuple[RescuedFile, ...]:
        """Save what is at output paths and is the user's to the blob store; any thread may call it.

        Raises `SecretFileError`.
        """
        facts = self._tasks.facts[task]
        known = (*facts.records, *([facts.previous] if facts.previous else ()))
        ours = self._stores.previous.files(task)
        rescued = rescue_files(self._tasks.survey.project, self._stores.blobs, paths, known, ours, self._redactor)
        note_rescued(self._tasks.survey.project, rescued)
        return rescued

    def accept_outputs(self, dispatched: Dispatched) -> None:
        """Accept the outputs of a successful attempt."""
        if dispatched.aside is not None:
            drop(dispatched.aside)
            dispatched.aside = None

    def return_outputs(self, dispatched: Dispatched) -> str | None:
        """Put previous outputs back, keep what the attempt left; return the folder that has it, if any.

        What is not kept, such as a file that holds a secret, joins the warnings.
        """
        if dispatched.aside is None:
            return None
        aside, dispatched.aside = dispatched.aside, None
        partial = put_back(aside, self._search)
        dispatched.warnings += [f"what it left is not kept: {found}" for found in partial.withheld]
        has_files = bool(partial.kept)
        notebook = dispatched.attempts[-1].notebook if dispatched.attempts else None
        if notebook is not None:
            try:
                self._stores.blobs.restore(notebook, os.path.join(aside.partial_to, "executed.ipynb"))
                has_files = True
            except BlobError as error:
                dispatched.warnings.append(f"its executed notebook is not kept: {error}")
        return self._tasks.survey.project.relative(aside.partial_to) if has_files else None

    def close(self) -> None:
        """Put back what is aside, and remove what attempts were told: none runs any more."""
        with ExitStack() as every:  # which goes on after an error, and raises it then
            every.callback(self._left.remove)
            for dispatched in self._all.values():
                every.callback(self.return_outputs, dispatched)

    def _place(self, task: Task) -> Backend | None:
        return self._pool.place(task, self._short_s(task))

    def _short_s(self, task: Task) -> float | None:
        """Return the seconds that a task is expected to take, ``None`` for one that waits in no executor.

        That is one that holds a place of a pool while it waits, or whose earlier attempt has ended.
        """
        if task.policy.pools or self._all[task.name].attempts or isinstance(task.work, Notebook):
            return None
        seen = self._seen_of.get(type(task.work))
        if task.name in self._durations:
            return self._durations[task.name]
        return max(seen) if seen else None

    def _begin(self, name: TaskName, backend: Backend) -> None:
        dispatched = self._all[name]
        task, project = self._tasks.survey.graph.tasks[name], self._tasks.survey.project
        number, run_id = len(dispatched.attempts) + 1, self._writer.header.run_id
        outputs = [output.path for output in task.outputs]
        failed = os.path.join(project.failed, run_id, folder_name(name))
        try:
            if not dispatched.is_rescued:
                dispatched.rescued = self.rescue(name, outputs)
                dispatched.is_rescued = True
            dispatched.aside = set_aside(
                project.state, project.root, outputs, failed, self._tasks.survey.secrets.keys()
            )
        except SecretFileError as error:
            self._refuse(name, f"{error.what}; {error.hint}")
            return
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            self._refuse(name, f"its outputs cannot be put in their places: {describe(error)}")
            return
        env = work_environment(
            task,
            self._tasks.survey.variables,
            project,
            mlflow=self._tasks.survey.records_mlflow(task),
            run_id=run_id,
            attempt=number,
            traceparent=self._writer.traceparent_for(name, number),
        )
        spec = attempt_spec(
            task,
            self._tasks.survey,
            dispatched.results,
            run_id=run_id,
            attempt=number,
            env=env,
            scratch=self._pool.scratch(),
            runtime=self._pool.runtime,
        )
        above = self._left.above(name, self._tasks.survey.graph, dispatched.results, self._pool.scratches)
        spec = replace(spec, upstream=above)
        if task.policy.sandbox or self._pool.travels:
            dispatched.sees = seen_paths(task, self._tasks.survey, self._tasks.facts[name], dispatched.results)
            spec = replace(
                spec,
                sees=tuple(SeenFile(path=path) for path in sorted(dispatched.sees)),
                sandbox=project.sandboxes if task.policy.sandbox else "",
            )
        if self._resuming is not None and not self._pool.travels:
            spec = self._resuming.prepare(
                spec,
                task,
                self._tasks.survey,
                self._tasks.facts[name],
                dispatched.instruction.keys,
                dispatched.results,
            )
        self._pool.submit(backend, spec, task, self._short_s(task))

    def _refuse(self, name: TaskName, why: str) -> None:
        """Let a task fail that cannot begin, and never could."""
        self._refused.add(name)
        now, number = time.time_ns(), len(self._all[name].attempts) + 1
        failure = Failure(type="Refused", message=self._redactor.text(why))
        result = AttemptResult(outcome="failed", started=now, ended=now, failure=failure)
        self._pool.events.put(Ended(task=name, attempt=number, result=result))

    def _start_what_pays(self, now: float) -> None:
        waiting = self._queue.without_executor()
        if not waiting:
            return
        tasks = [self._tasks.survey.graph.tasks[name] for name in waiting]
        waited = now - min(self._all[name].waiting_since for name in waiting)
        for backend in self._pool.unstarted:
            if any(self._pool.needs(backend, task) for task in tasks) or is_worth_its_start(
                self._costs(backend), self._pool.jobs, waiting, self._durations, self._seen, waited
            ):
                self._pool.start(backend)

    def _costs(self, backend: Backend) -> ExecutorCosts:
        """Return what an executor costs: never less for its start than is known to everyone."""
        measured = self._stores.previous.costs(backend.name)
        if measured is None:
            return ExecutorCosts(start_s=backend.start_s, handed_over_s=HANDED_OVER_S)
        return replace(measured, start_s=max(measured.start_s, backend.start_s))


def folder_name(task: TaskName) -> str:
    """Return a task's name as the name of a folder; one that had to be changed gets a digest."""
    plain = re.sub(r"[^A-Za-z0-9._=,\[\]-]", "_", task)[:100]
    return plain if plain == task else f"{plain}-{digest_text(task)[:8]}"
