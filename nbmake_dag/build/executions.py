"""The tasks that were told to run: which begins next, its attempts, and where its old outputs are meanwhile."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from nbmake_dag.build.environment import work_environment
from nbmake_dag.build.keep import keep_bytes
from nbmake_dag.build.kept import remember_kept
from nbmake_dag.build.outcome import Kept
from nbmake_dag.build.pace import urgency, wants_ray
from nbmake_dag.build.pool import RAY, Pool
from nbmake_dag.build.prepare import Prepared, Stores
from nbmake_dag.build.ready import Queue
from nbmake_dag.build.resources import HINT, lacking
from nbmake_dag.build.resuming import Resuming
from nbmake_dag.build.seen import seen_paths
from nbmake_dag.build.specs import attempt_spec
from nbmake_dag.core.facts import Result
from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag.core.schedule import Run
from nbmake_dag.execute.aside import Aside, drop, put_back, set_aside
from nbmake_dag.execute.protocol import AttemptResult, Ended, Failure, SeenFile
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_cache.digest import digest_text

INFRASTRUCTURE_RETRIES = 2
_LOOK_EVERY_S = 0.2


@dataclass(slots=True)
class Execution:
    """One task that was told to run. ``above`` has the results of all tasks above it."""

    run: Run
    above: Mapping[TaskName, Result]
    sees: frozenset[str] = frozenset()
    """What its last attempt could see, if it may have run in a private copy of the repository."""
    attempts: list[AttemptResult] = field(default_factory=list[AttemptResult])
    aside: Aside | None = None
    kept: tuple[Kept, ...] = ()
    waiting_since: float = field(default_factory=time.monotonic)

    def count(self, *outcomes: str) -> int:
        return sum(attempt.outcome in outcomes for attempt in self.attempts)


class Executions:
    """Begins tasks as there is room for them; what their ends mean is decided elsewhere."""

    def __init__(
        self, prepared: Prepared, stores: Stores, pool: Pool, writer: RunWriter, resuming: Resuming | None
    ) -> None:
        self._prepared = prepared
        self._stores = stores
        self._pool = pool
        self._writer = writer
        self._resuming = resuming
        self._all: dict[TaskName, Execution] = {}
        self._queue = Queue(urgency(prepared.graph, stores.last.durations()))
        self._durations = stores.last.durations()
        self._seen: list[float] = []
        self._next_look = 0.0
        self._unfit: dict[TaskName, str] = {}
        self._refused: set[TaskName] = set()

    def add(self, run: Run, above: Mapping[TaskName, Result]) -> None:
        self._all[run.task] = Execution(run=run, above=above)
        task = self._prepared.graph.tasks[run.task]
        if not self._pool.travels and (what := lacking(task.policy.resources)):
            self._unfit[run.task] = f"it needs {what}: {HINT}"
        else:
            self._queue.add(task)

    def get(self, task: TaskName) -> Execution:
        return self._all[task]

    def remove(self, task: TaskName) -> Execution | None:
        """Forget a task that has ended, or will not begin."""
        self._queue.remove(task)
        self._unfit.pop(task, None)
        return self._all.pop(task, None)

    def between_attempts(self) -> list[TaskName]:
        """Return the tasks that have begun, and of which nothing runs."""
        return [name for name in self._queue if self._all[name].attempts]

    def begin_what_fits(self) -> list[TaskName]:
        """Begin what is ready and has room, the most urgent first; return those whose first attempt it is.

        Where tasks have to wait and it would be sooner with Ray, Ray is started.
        """
        begun: list[TaskName] = []
        now = time.monotonic()
        while self._unfit:
            name, why = self._unfit.popitem()
            begun.append(name)
            self._refuse(name, why)
        for task, executor in self._queue.placed(self._pool.place, now):
            if not self._all[task.name].attempts:
                begun.append(task.name)
            self._begin(task.name, executor)
        if self._pool.may_want_ray and now >= self._next_look:
            self._next_look = now + _LOOK_EVERY_S
            self._start_ray_if_it_pays(now)
        return begun

    def note_attempt(self, execution: Execution, result: AttemptResult) -> None:
        execution.attempts.append(result)
        self._seen.append((result.ended - result.started) / 1e9)

    def retry(self, task: TaskName) -> float | None:
        """Queue a task again after a failed attempt; return the delay in seconds, ``None`` if it was the last."""
        execution = self._all[task]
        queued = self._prepared.graph.tasks[task]
        if task in self._refused:
            return None
        if execution.attempts[-1].outcome == "lost":
            if execution.count("lost") > INFRASTRUCTURE_RETRIES or self._pool.cannot_run(queued):
                return None
            delay = 0.0
        elif execution.count("failed", "timeout") > queued.policy.retries:
            return None
        else:
            delay = queued.policy.retry_delay
        self._queue.add(queued, time.monotonic() + delay)
        return delay

    def keep(self, task: TaskName, paths: Iterable[ProjectPath]) -> tuple[Kept, ...]:
        """Keep what is at output paths and is the user's; any thread may call it."""
        facts = self._prepared.facts[task]
        known = (*facts.records, *([facts.previous] if facts.previous else ()))
        ours = self._stores.last.files(task)
        kept = keep_bytes(self._prepared.project, self._stores.blobs, paths, known, ours)
        remember_kept(self._prepared.project, kept)
        return kept

    def accept_outputs(self, execution: Execution) -> None:
        """Let the outputs of a successful attempt stand."""
        if execution.aside is not None:
            drop(execution.aside)
            execution.aside = None

    def return_outputs(self, execution: Execution) -> str | None:
        """Put previous outputs back, keep what the attempt left; return the folder that has it, if any."""
        if execution.aside is None:
            return None
        aside, execution.aside = execution.aside, None
        kept = bool(put_back(aside))
        notebook = execution.attempts[-1].notebook if execution.attempts else None
        if notebook is not None:
            self._stores.blobs.restore(notebook, os.path.join(aside.partial_to, "executed.ipynb"))
            kept = True
        return self._prepared.project.relative(aside.partial_to) if kept else None

    def return_all_outputs(self) -> None:
        for execution in self._all.values():
            self.return_outputs(execution)

    def _begin(self, name: TaskName, executor: str) -> None:
        execution = self._all[name]
        task, project = self._prepared.graph.tasks[name], self._prepared.project
        number, run_id = len(execution.attempts) + 1, self._writer.header.run_id
        outputs = [output.path for output in task.outputs]
        if number == 1:
            execution.kept = (*execution.kept, *self.keep(name, outputs))
        failed = os.path.join(project.failed, run_id, folder_name(name))
        try:
            execution.aside = set_aside(project.state, project.root, outputs, failed)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            self._refuse(name, f"there is no room for its outputs: {error.strerror}: {error.filename}")
            return
        env = work_environment(
            task,
            self._prepared.variables,
            project,
            packages=self._prepared.survey.packages(task),
            run_id=run_id,
            attempt=number,
            traceparent=self._writer.traceparent_for(name, number),
        )
        spec = attempt_spec(
            task,
            self._prepared,
            execution.above,
            run_id=run_id,
            attempt=number,
            env=env,
            scratch=self._pool.scratch(),
            runtime=self._pool.runtime,
        )
        if task.policy.sandbox or self._pool.travels:
            execution.sees = seen_paths(task, self._prepared, execution.above)
            spec = replace(
                spec,
                sees=tuple(SeenFile(path=path) for path in sorted(execution.sees)),
                sandbox=project.sandboxes if task.policy.sandbox else "",
            )
        if self._resuming is not None and not self._pool.travels:
            spec = self._resuming.prepare(spec, task, self._prepared, execution.run.identity, execution.above)
        self._pool.submit(executor, spec, task)

    def _refuse(self, name: TaskName, why: str) -> None:
        """Let a task fail that cannot begin, and never could."""
        self._refused.add(name)
        now, number = time.time_ns(), len(self._all[name].attempts) + 1
        failure = Failure(type="Refused", message=why)
        result = AttemptResult(outcome="failed", started=now, ended=now, failure=failure)
        self._pool.events.put(Ended(task=name, attempt=number, result=result))

    def _start_ray_if_it_pays(self, now: float) -> None:
        waiting = list(self._queue)
        if not waiting:
            return
        waited = now - min(self._all[name].waiting_since for name in waiting)
        if self._needs_ray(waiting) or wants_ray(waiting, self._durations, self._seen, waited):
            self._pool.start(RAY)

    def _needs_ray(self, names: Iterable[TaskName]) -> bool:
        return any(self._prepared.graph.tasks[name].policy.resources.gpus for name in names)


def folder_name(task: TaskName) -> str:
    """Return a task's name as the name of a folder; one that had to be changed gets a digest."""
    plain = re.sub(r"[^A-Za-z0-9._=,\[\]-]", "_", task)[:100]
    return plain if plain == task else f"{plain}-{digest_text(task)[:8]}"
