"""Attempts on a Ray that was started or joined: submitted as tasks, followed, cancelled, reported when lost."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

import msgspec
import ray
from ray.exceptions import RayError, TaskCancelledError

from nbmake_dag.execute.processes.frames import Frames
from nbmake_dag.execute.processes.process_tree import total_memory
from nbmake_dag.execute.processes.runtime_dir import end_marked
from nbmake_dag.execute.processes.supervisor_process import descendants
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Cancel,
    Ended,
    Event,
    ExecutorReady,
    Failure,
    Node,
    Order,
    Started,
    Submit,
)
from nbmake_dag.execute.ray.kind import NAME
from nbmake_dag.execute.ray.local import light_node
from nbmake_dag.execute.ray.task import ask_to_end, attempt_task, decode_events, warm_task
from nbmake_dag_reporting.vocabulary import AttemptOutcome

_STUCK_AFTER_S = 20.0
_WATCH_EVERY_S = 0.5
_OBJECT_STORE = 80 << 20
"""Bytes, about the least that Ray takes: only small values go through it."""
NOT_ASSIGNABLE = ("object_store_memory", "node:")


def start_local(runtime: str, cpus: int, lose: Callable[[str], None]) -> None:
    """Start a Ray of this process's own, and wait until one of its workers is warm; call ``lose`` when it dies."""
    try:
        _init_local(runtime, cpus)
    except Exception:  # noqa: BLE001  # Ray raises whatever it likes; on a busy machine it loses patience with itself
        ray.shutdown()
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _init_local(runtime, cpus)
    threading.Thread(target=_watch, args=(lose,), name="watch", daemon=True).start()
    warm = ray.remote(max_retries=0)(warm_task)
    ray.wait([warm.remote() for _ in range(cpus)])


def _init_local(runtime: str, cpus: int) -> None:
    with light_node():
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=_OBJECT_STORE,
            # else what happens to be free now is all that tasks can ever have
            _memory=total_memory(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=os.path.join(runtime, "r"),
            _node_ip_address="127.0.0.1",
        )


def _watch(lose: Callable[[str], None]) -> None:
    """Notice the end of Ray's own processes, for which Ray itself would wait a minute."""
    node: Any = import_module("ray._private.worker")._global_node  # noqa: SLF001  # it has no public name
    while True:
        time.sleep(_WATCH_EVERY_S)
        if dead := [name for name, _ in node.dead_processes()]:
            lose(f"Ray's {', '.join(dead)} ended unexpectedly")


class Carrier(Protocol):
    """How attempts get to where they run."""

    nodes: tuple[Node, ...]

    def submit(self, spec: AttemptSpec, ticket: str) -> Any:
        """Hand an attempt to Ray; return the generator of its events. Raises `OSError`."""
        ...

    def withdraw(self, ticket: str) -> bool:
        """Keep what was submitted from beginning; ``False`` if it has begun. Raises `RayError`."""
        ...

    def events(self, spec: AttemptSpec, generator: Any) -> Iterator[Event]:
        """Yield the events of an attempt; raises `RayError`."""
        ...


class LocalCarrier:
    """Attempts stay on this machine."""

    nodes: tuple[Node, ...] = ()

    def __init__(self) -> None:
        self._remote = ray.remote(max_retries=0, num_returns="streaming")(attempt_task)

    def submit(self, spec: AttemptSpec, ticket: str) -> Any:  # noqa: ARG002  # as the protocol has it
        return self._remote.options(**placement(spec)).remote(msgspec.json.encode(spec), None)

    def withdraw(self, ticket: str) -> bool:  # noqa: ARG002  # as the protocol has it
        return False

    def events(self, spec: AttemptSpec, generator: Any) -> Iterator[Event]:  # noqa: ARG002  # as the protocol has it
        for reference in generator:
            yield from decode_events(ray.get(reference))


def placement(spec: AttemptSpec) -> dict[str, Any]:
    """Return the options by which Ray places an attempt."""
    return {
        "name": spec.task,
        "num_cpus": spec.cpus,
        "num_gpus": spec.gpus,
        "memory": spec.memory or None,
        "resources": spec.custom or None,
        "label_selector": spec.labels or None,
    }


class RaySession:
    """The tasks that Ray runs for one driver."""

    def __init__(self, frames: Frames[Order], carrier: Carrier) -> None:
        self._frames = frames
        self._carrier = carrier
        self._running: dict[str, _Task] = {}

    def serve(self) -> None:
        """Announce the resources, and carry out orders until the driver closes the connection."""
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        resources = {name: amount for name, amount in total.items() if not name.startswith(NOT_ASSIGNABLE)}
        self._frames.send(ExecutorReady(executor=NAME, resources=resources, nodes=self._carrier.nodes))
        while isinstance(order := self._frames.receive(), Submit | Cancel):
            if isinstance(order, Submit):
                task = _Task(order.spec, self._carrier, self._frames)
                self._running[order.spec.task] = task
                threading.Thread(target=self._follow, args=(task,), name=order.spec.task, daemon=True).start()
            elif (found := self._running.get(order.task)) is not None:
                threading.Thread(target=found.cancel, args=(order.grace,), daemon=True).start()

    def lose(self, task: str, attempt: int, reason: str) -> None:
        """Take an attempt for lost, from which nothing is heard."""
        found = self._running.get(task)
        if found is not None and found.spec.attempt == attempt:
            found.lose(reason)

    def submit_again(self) -> None:
        """Submit again what has not begun: Ray waits long for tasks that were on their way to a dead node."""
        for task in list(self._running.values()):
            threading.Thread(target=self._submit_again, args=(task,), daemon=True).start()

    def _submit_again(self, task: _Task) -> None:
        if task.withdraw():
            self._follow(task)

    def _follow(self, task: _Task) -> None:
        task.follow()
        if task.is_over and self._running.get(task.spec.task) is task:
            del self._running[task.spec.task]


class _Task:
    """One attempt on its way through Ray."""

    def __init__(self, spec: AttemptSpec, carrier: Carrier, frames: Frames[Order]) -> None:
        self.spec = spec
        self._carrier = carrier
        self._frames = frames
        self._submitted = time.time_ns()
        self._generator: Any = None
        self._submissions = 0
        self._started = threading.Event()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._cancelled = False

    def follow(self) -> None:
        """Submit it, and pass on its events, until it ends or is lost."""
        outcome: AttemptOutcome = "lost"
        reason = "its Ray worker ended without a result"
        submission = self._submissions
        try:
            self._generator = self._carrier.submit(self.spec, self._ticket)
            if self._cancelled:
                ray.cancel(self._generator)
            for event in self._carrier.events(self.spec, self._generator):
                if isinstance(event, Started):
                    self._started.set()
                if not self._pass_on(event):
                    return
        except TaskCancelledError:
            outcome, reason = "cancelled", "cancelled"
        except Exception as error:  # noqa: BLE001  # Ray raises whatever it likes, and somebody waits for an end
            reason = str(error) or type(error).__name__
        if submission == self._submissions:
            self._report("cancelled" if self._cancelled else outcome, reason)

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def withdraw(self) -> bool:
        """Take back what was submitted and has not begun; ``False`` if that is too late."""
        if self._started.is_set() or self._over.is_set() or self._cancelled:
            return False
        try:
            withdrawn = self._carrier.withdraw(self._ticket)
        except RayError:
            return False
        self._submissions += withdrawn
        return withdrawn

    @property
    def _ticket(self) -> str:
        return f"{self.spec.task}:{self.spec.attempt}:{self._submissions}"

    def cancel(self, grace: float) -> None:
        """Tell the task; end its worker when it does not listen."""
        self._cancelled = True
        ask_to_end(self.spec, grace)
        if not self._started.is_set() and self._generator is not None:
            ray.cancel(self._generator)
        if not self._over.wait(grace + _STUCK_AFTER_S) and self._generator is not None:
            ray.cancel(self._generator, force=True)

    def lose(self, reason: str) -> None:
        """Give it up."""
        self._report("cancelled" if self._cancelled else "lost", reason)

    def _pass_on(self, event: Event) -> bool:
        """Send its events to the driver, up to its end; return whether the end is still to come."""
        with self._lock:
            if self._over.is_set():
                return False
            self._frames.send(event)
            if isinstance(event, Ended):
                self._over.set()
            return not self._over.is_set()

    def _report(self, outcome: AttemptOutcome, reason: str) -> None:
        """Report its end for a worker that cannot, once nothing of it runs on this machine."""
        if self._over.is_set():
            return
        end_marked(self.spec.runtime, self.spec.task)
        result = AttemptResult(
            outcome=outcome,
            started=self._submitted,
            ended=time.time_ns(),
            failure=Failure(type="_OTHER", message=reason) if outcome == "lost" else None,
        )
        self._pass_on(Ended(task=self.spec.task, attempt=self.spec.attempt, result=result))
