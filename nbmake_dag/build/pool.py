"""The executors of one build, or of one after another: which exist, and which takes a task."""

from __future__ import annotations

import itertools
import os
import queue
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import msgspec

from nbmake_dag.core.model import Resources, Task, TaskName
from nbmake_dag.errors import InfrastructureError
from nbmake_dag.execute.executor import ChildExecutor, Executor, python_argv
from nbmake_dag.execute.private_folder import private_folder
from nbmake_dag.execute.protocol import AttemptSpec, Cluster, Ended, Event, ExecutorLost, ExecutorReady, Node
from nbmake_dag.execute.runtime_dir import RuntimeDir
from nbmake_dag.execute.supervision import Supervisor

INLINE = "inline"
RAY = "ray"


@dataclass(frozen=True, slots=True)
class _Place:
    executor: str
    cpus: float


class Pool:
    """Executors are started when they are first wanted, and all end with `close`.

    ``mode`` is ``auto``, ``ray`` or ``inline``. Inline runs one task at a time; together with a local Ray no more
    than ``jobs`` processors are given away. On a cluster Ray itself places what is submitted. ``attempts`` is the
    folder for the folders of attempts.
    """

    def __init__(
        self,
        *,
        mode: str,
        jobs: int,
        cluster: Cluster | None,
        env: Mapping[str, str],
        attempts: str,
    ) -> None:
        self.events: queue.SimpleQueue[object] = queue.SimpleQueue()
        """What the executors say, and whatever else whoever reads it wants to hear."""
        self.jobs = jobs
        self.lost = False
        """Whether an executor was lost that cannot be had again."""
        self._mode = RAY if cluster else mode
        self._cluster = cluster
        self._env = env
        self._attempts = attempts
        self._scratches = ""
        self._folders = ExitStack()
        self._supervisor: Supervisor | None = None
        self._executors: dict[str, Executor] = {}
        self._ready: set[str] = set()
        self._numbers = itertools.count(1)
        self._running: dict[str, _Place] = {}
        self._nodes: tuple[Node, ...] = ()

    @property
    def runtime(self) -> str:
        """The build's private folder, made with the first executor."""
        return self._supervise().runtime.path

    def scratch(self) -> str:
        """Make a private folder for one attempt."""
        if not self._scratches:
            self._scratches = self._folders.enter_context(private_folder(self._attempts))
        path = os.path.join(self._scratches, f"a{next(self._numbers)}")
        os.mkdir(path, 0o700)
        return path

    @property
    def travels(self) -> bool:
        """Whether attempts may run on other machines."""
        return self._cluster is not None

    def cannot_run(self, task: Task) -> bool:
        """Say whether nothing is left that could run a task."""
        return self.lost and (self._mode == RAY or task.policy.resources.gpus > 0)

    @property
    def may_want_ray(self) -> bool:
        """Whether Ray could still be started to run more at once."""
        return self._mode == "auto" and self.jobs > 1 and RAY not in self._executors

    def start(self, name: str) -> None:
        """Start an executor that is not there yet, and return at once."""
        if name in self._executors:
            return
        called = None
        if name == INLINE:
            argv = python_argv("nbmake_dag.execute.worker")
        else:
            place = f"the Ray cluster at {self._cluster.address}" if self._cluster else "a local Ray"
            called = f"the executor on {place}"
            cluster = msgspec.json.encode(self._cluster).decode() if self._cluster else ""
            where = ("--cluster", cluster) if cluster else ("--cpus", str(self.jobs))
            argv = python_argv("nbmake_dag.execute.ray_host", "--runtime", self.runtime, *where)
        self._executors[name] = ChildExecutor(
            name, self._supervise(), argv, self._env, self.events.put, called=called
        )

    def start_first(self) -> None:
        """Start the executor that the first task will need."""
        self.start(RAY if self._mode == RAY else INLINE)

    def await_nodes(self) -> tuple[Node, ...]:
        """Wait for the cluster, if there is one; return its machines. Raises `InfrastructureError`."""
        if self._cluster is None or RAY in self._ready:
            return self._nodes
        self.start(RAY)
        match self.events.get():
            case ExecutorReady(nodes=nodes) as event:
                self.note(event)
                self._nodes = nodes
                return nodes
            case event:
                raise InfrastructureError(getattr(event, "reason", f"not expected of Ray: {event}"))

    def place(self, task: Task) -> str | None:
        """Name the executor that can take a task now, ``None`` if it has to wait."""
        cpus = self._cpus(task.policy.resources)
        if self.cannot_run(task):
            # which answers that the attempt is lost
            return RAY
        if self._cluster:
            return RAY if RAY in self._ready else None
        if sum(place.cpus for place in self._running.values()) + cpus > self.jobs:
            return None
        inline_is_free = all(place.executor != INLINE for place in self._running.values())
        if self._mode != RAY and inline_is_free and not task.policy.resources.gpus:
            return INLINE
        return RAY if RAY in self._ready else None

    def submit(self, executor: str, spec: AttemptSpec, task: Task) -> None:
        self.start(executor)
        self._running[spec.task] = _Place(executor, self._cpus(task.policy.resources))
        self._executors[executor].submit(spec)

    def note(self, event: Event) -> None:
        """Take in what an executor said."""
        match event:
            case Ended(task=task):
                self._running.pop(task, None)
            case ExecutorReady(executor=name):
                self._ready.add(name)
            case ExecutorLost(executor=name):
                self._ready.discard(name)
                if name == INLINE:
                    # the next task starts another
                    del self._executors[name]
                else:
                    self.lost = True
            case _:
                pass

    @property
    def running(self) -> tuple[TaskName, ...]:
        return tuple(TaskName(name) for name in self._running)

    def cancel(self, task: TaskName, grace: float) -> None:
        place = self._running.get(task)
        if place is not None:
            self._executors[place.executor].cancel(task, grace)

    def close(self) -> None:
        """End everything that was started, and return at once."""
        for executor in self._executors.values():
            executor.close()
        if self._supervisor is not None:
            self._supervisor.close()
        self._folders.close()

    def _supervise(self) -> Supervisor:
        if self._supervisor is not None and self._supervisor.gone:
            self._supervisor.close()
            self._supervisor = None
        if self._supervisor is None:
            self._supervisor = Supervisor.start(RuntimeDir.create())
        return self._supervisor

    def _cpus(self, wanted: Resources) -> float:
        return min(wanted.cpus, self.jobs)
