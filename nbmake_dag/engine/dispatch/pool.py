"""The executors of one build or of repeated builds: which exist, and which takes a task."""

from __future__ import annotations

import itertools
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import msgspec

from nbmake_dag.core.model import Resources, Task, TaskName
from nbmake_dag.ending_signals import handling
from nbmake_dag.engine.state.previous_results import ExecutorCosts
from nbmake_dag.errors import InfrastructureError, UsageError
from nbmake_dag.execute.executor import ChildExecutor, Executor, python_argv
from nbmake_dag.execute.executor_kind import Backend
from nbmake_dag.execute.processes.private_folder import private_folder
from nbmake_dag.execute.processes.runtime_dir import RuntimeDir
from nbmake_dag.execute.processes.supervisor import Supervisor
from nbmake_dag.execute.protocol import (
    AttemptSpec,
    Ended,
    Event,
    ExecutorLost,
    ExecutorReady,
    ExecutorSays,
    Node,
    Returned,
)

AHEAD_S = 0.1
"""Seconds that attempts may be expected to take which an executor holds, with those that wait in it."""
_STUCK_S = 10 * AHEAD_S
"""The first of them was expected to end long before: the others are taken back."""


class _Slot(msgspec.Struct):
    """An attempt that was submitted. ``expected_s`` is ``None`` where nobody knows how long it takes."""

    backend: Backend
    cpus: float
    expected_s: float | None
    since: float
    """When it was submitted, or became the first of those that wait for each other."""
    measured: bool = False
    """Whether it waits for nothing but processors."""


class Pool:
    """Executors are started when they are first wanted, and all end with `close`.

    A task goes to the first of ``backends`` that suits it and has room; together no more than ``jobs`` processors
    are given away. One that travels decides itself what has room. ``attempts`` is the folder for the folders of
    attempts.
    """

    def __init__(self, backends: Sequence[Backend], *, jobs: int, env: Mapping[str, str], attempts: str) -> None:
        self.events: queue.SimpleQueue[object] = queue.SimpleQueue()
        """The events of the executors, and all others that the reader of the queue waits for."""
        self.say: Callable[[str], None] = lambda _: None
        """Called with what there is to say while a build waits for nodes."""
        self.jobs = jobs
        self._backends = tuple(backends)
        self._env = env
        self._attempts = attempts
        self._scratches = ""
        self._folders = ExitStack()
        self._supervisor: Supervisor | None = None
        self._executors: dict[str, Executor] = {}
        self._ready: set[str] = set()
        self._lost: set[str] = set()
        self._numbers = itertools.count(1)
        self._running: dict[str, _Slot] = {}
        self._failures: dict[str, int] = {}
        """How many attempts of an executor did not succeed."""
        self._nodes: tuple[Node, ...] = ()
        self._asked: dict[str, float] = {}
        """When each executor was started."""
        self._start_s: dict[str, float] = {}
        self._handed_over_s: dict[str, list[float]] = {}
        """What each attempt took beside its work, for executors whose start costs something."""

    @property
    def runtime(self) -> str:
        """The build's private folder, made with the first executor."""
        return self._supervise().runtime.path

    @property
    def scratches(self) -> str:
        """The private folder of all attempts, made with the first."""
        if not self._scratches:
            self._scratches = self._folders.enter_context(private_folder(self._attempts))
            self._supervise().clear(self._scratches)
        return self._scratches

    def scratch(self) -> str:
        """Make a private folder for one attempt."""
        path = os.path.join(self.scratches, f"a{next(self._numbers)}")
        os.mkdir(path, 0o700)
        return path

    @property
    def travels(self) -> bool:
        """Whether attempts may run on other machines."""
        return any(backend.travels for backend in self._backends)

    @property
    def lost(self) -> bool:
        """Whether something was lost that is not replaced: an executor, or the folder of the attempts."""
        kept = (self._executors.get(backend.name) for backend in self._backends if not backend.replaceable)
        if any(executor is not None and executor.is_lost for executor in kept):
            return True
        return bool(self._scratches) and not os.path.isdir(self._scratches)

    @property
    def unstarted(self) -> list[Backend]:
        """Return the executors whose start costs something, and that were not started."""
        return [backend for backend in self._backends if backend.start_s and backend.name not in self._executors]

    def cannot_run(self, task: Task) -> bool:
        """Return whether nothing is left that could run a task."""
        return all(backend.name in self._lost for backend in self._suitable(task))

    def needs(self, backend: Backend, task: Task) -> bool:
        """Return whether a task can run nowhere before an executor is started."""
        suitable = self._suitable(task)
        startable = any(not other.start_s or other.name in self._executors for other in suitable)
        return suitable[0] == backend and not startable

    def start(self, backend: Backend) -> None:
        """Start an executor that is not there yet, and return at once."""
        if backend.name not in self._executors:
            if backend.gives_back:
                self._supervise().run_last(backend.gives_back(self.runtime))
            self._asked[backend.name] = time.monotonic()
            self._executors[backend.name] = ChildExecutor(
                backend.name,
                self._supervise(),
                python_argv(backend.module, *backend.arguments),
                self._env,
                self.events.put,
                title=backend.title,
            )

    def start_first(self) -> None:
        """Start the executor that the first task will need."""
        self.start(self._backends[0])

    def await_nodes(self) -> tuple[Node, ...]:
        """Wait for the executor that travels; return its machines. Raises `InfrastructureError` or `UsageError`.

        A signal ends the wait.
        """
        backend = self._backends[0]
        if backend.name in self._ready:
            return self._nodes
        with handling(lambda number: self.events.put(signal.Signals(number))):
            self.start(backend)
            while isinstance(event := self.events.get(), ExecutorSays):
                self.say(event.text)
        match event:
            case ExecutorReady(nodes=nodes):
                self.note(event)
                self._nodes = nodes
                return nodes
            case ExecutorLost(reason=reason, misused=misused):
                self.note(event)
                raise (UsageError if misused else InfrastructureError)(reason)
            case signal.Signals():
                signal.raise_signal(event)
                raise InfrastructureError("nothing was built: the wait for the cluster was interrupted")
            case _:
                raise InfrastructureError(f"not expected of {backend.name}: {event}")

    def place(self, task: Task, ahead_s: float | None = None) -> Backend | None:
        """Return the executor that can take a task now, ``None`` if it has to wait.

        With ``ahead_s``, the seconds that it is expected to take, it may wait in an executor behind others.
        """
        suitable = self._suitable(task)
        if self.cannot_run(task):
            # which answers that the attempt is lost
            return suitable[0]
        return next((backend for backend in suitable if self._takes(backend, task, ahead_s)), None)

    def submit(self, backend: Backend, spec: AttemptSpec, task: Task, expected_s: float | None = None) -> None:
        self.start(backend)
        waits = backend.takes_ahead and bool(self._slots(backend))
        wanted = task.policy.resources
        self._running[spec.task] = _Slot(
            backend,
            self._cpus(wanted),
            expected_s,
            since=time.monotonic(),
            measured=bool(backend.start_s) and not (wanted.gpus or wanted.memory or wanted.custom),
        )
        failures = self._failures.get(backend.name, 0) if waits else None
        self._executors[backend.name].submit(spec, failures)

    def recall_stuck(self) -> None:
        """Ask for those attempts back that wait behind one that takes longer than expected."""
        now = time.monotonic()
        for backend in self._backends:
            if backend.takes_ahead and len(slots := self._slots(backend)) > 1 and now - slots[0].since > _STUCK_S:
                slots[0].since = now
                for name, slot in self._running.items():
                    if slot.backend == backend and slot is not slots[0]:
                        self._executors[backend.name].recall(name)

    def note(self, event: Event) -> None:
        """Take in what an executor reported."""
        match event:
            case Ended(task=task, result=result):
                slot = self._leave(task)
                if slot is not None and result.outcome != "succeeded":
                    self._failures[slot.backend.name] = self._failures.get(slot.backend.name, 0) + 1
                elif slot is not None and slot.measured:
                    beside_s = max(0.0, time.monotonic() - slot.since - (result.ended - result.started) / 1e9)
                    self._handed_over_s.setdefault(slot.backend.name, []).append(beside_s)
            case Returned(task=task):
                self._leave(task)
            case ExecutorReady(executor=name):
                self._ready.add(name)
                self._start_s.setdefault(name, time.monotonic() - self._asked[name])
            case ExecutorLost(executor=name):
                self._ready.discard(name)
                self._failures.pop(name, None)
                if any(backend.replaceable for backend in self._backends if backend.name == name):
                    # the next task starts another
                    del self._executors[name]
                else:
                    self._lost.add(name)
            case _:
                pass

    def costs(self) -> Iterator[tuple[str, ExecutorCosts]]:
        """Yield the executors of this machine that cost something and were used, with what they cost."""
        for backend in self._backends:
            if not backend.travels and (beside := self._handed_over_s.get(backend.name)):
                typical = sorted(beside)[len(beside) // 2]
                yield backend.name, ExecutorCosts(start_s=self._start_s[backend.name], handed_over_s=typical)

    @property
    def running(self) -> tuple[TaskName, ...]:
        return tuple(TaskName(name) for name in self._running)

    def cancel(self, task: TaskName, grace: float) -> None:
        slot = self._running.get(task)
        if slot is not None:
            self._executors[slot.backend.name].cancel(task, grace)

    def close(self) -> None:
        """End everything that was started, and return at once."""
        for executor in self._executors.values():
            executor.close()
        if self._supervisor is not None:
            self._supervisor.close()
        self._folders.close()

    def _suitable(self, task: Task) -> Sequence[Backend]:
        """Return the executors for a task, in order; where none assigns GPUs, a task sees all of them."""
        return [backend for backend in self._backends if backend.suits(task)] or self._backends

    def _takes(self, backend: Backend, task: Task, ahead_s: float | None) -> bool:
        """Return whether an executor is there and has room, and processors are left on this machine."""
        if backend.start_s and backend.name not in self._ready:
            return False
        executor = self._executors.get(backend.name)
        if executor is not None and executor.is_lost:
            # until this is noted, and there may be another
            return False
        if backend.travels:
            return True
        slots = self._slots(backend)
        if backend.at_once is not None and len(slots) >= backend.at_once:
            if not (backend.takes_ahead and _is_short([*(slot.expected_s for slot in slots), ahead_s])):
                return False
            if time.monotonic() - slots[0].since > AHEAD_S:
                return False
        wanted = self._cpus(task.policy.resources)
        others = sum(self._occupied(other, 0.0) for other in self._backends if other != backend)
        return others + self._occupied(backend, wanted) <= self.jobs

    def _slots(self, backend: Backend) -> list[_Slot]:
        """Return the attempts that an executor has, in the order in which it got them."""
        return [slot for slot in self._running.values() if slot.backend == backend]

    def _occupied(self, backend: Backend, more: float) -> float:
        """Return the processors that an executor occupies, with one more attempt: those that wait need none."""
        cpus = sorted((*(slot.cpus for slot in self._slots(backend)), more), reverse=True)
        return sum(cpus[: backend.at_once])

    def _leave(self, task: str) -> _Slot | None:
        slot = self._running.pop(task, None)
        if slot is not None and slot.backend.takes_ahead and (slots := self._slots(slot.backend)):
            slots[0].since = time.monotonic()
        return slot

    def _supervise(self) -> Supervisor:
        if self._supervisor is not None and self._supervisor.gone:
            self._supervisor.close()
            self._supervisor = None
        if self._supervisor is None:
            self._supervisor = Supervisor.start(RuntimeDir.create())
            if self._scratches:
                self._supervisor.clear(self._scratches)
        return self._supervisor

    def _cpus(self, wanted: Resources) -> float:
        return min(wanted.cpus, self.jobs)


def _is_short(expected_s: list[float | None]) -> bool:
    """Return whether attempts are known to take little time together."""
    return all(seconds is not None for seconds in expected_s) and sum(filter(None, expected_s)) <= AHEAD_S
