"""Attempts on a Ray that was started or joined: submitted as tasks, followed, cancelled, reported when lost."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
import ray
from ray.exceptions import RayError, TaskCancelledError, TaskUnschedulableError

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
from nbmake_dag.execute.ray.gate import Gate
from nbmake_dag.execute.ray.kind import NAME
from nbmake_dag.execute.ray.local import light_node
from nbmake_dag.execute.ray.task import ask_to_end, attempt_name, attempt_task, decode_events, warm_task
from nbmake_dag_reporting.vocabulary import AttemptOutcome

_STUCK_AFTER_S = 20.0
_PLACE_AGAIN_S = 1.0
_WATCH_EVERY_S = 0.5
_OBJECT_STORE = 80 << 20
"""Bytes, about the least that Ray takes: only small values go through it."""
_HEAD_STORE = 256 << 20
"""Files go through that of a head, in pieces."""
NOT_ASSIGNABLE = ("object_store_memory", "node:")


def start_local(runtime: str, cpus: int, lose: Callable[[str], None]) -> None:
    """Start a Ray of this process's own, and wait until one of its workers is warm; call ``lose`` when it dies."""
    _init(
        runtime,
        lose,
        num_cpus=cpus,
        object_store_memory=_OBJECT_STORE,
        # else what happens to be free now is all that tasks can ever have
        _memory=total_memory(),
        _node_ip_address="127.0.0.1",
    )
    warm = ray.remote(max_retries=0)(warm_task)
    ray.wait([warm.remote() for _ in range(cpus)])


def start_head(runtime: str, address: str, runtime_env: dict[str, Any], lose: Callable[[str], None]) -> str:
    """Start the head of a cluster, on which no task runs that needs anything; return where nodes join."""
    _init(
        runtime,
        lose,
        num_cpus=0,
        num_gpus=0,
        object_store_memory=_HEAD_STORE,
        runtime_env=runtime_env or None,
        _memory=0,
        _node_ip_address=address,
    )
    return str(ray.get_runtime_context().gcs_address)


def joined() -> int:
    """Return how many nodes there are besides the head."""
    return sum(bool(row["Alive"]) for row in ray.nodes()) - 1  # type: ignore[no-untyped-call]


def _init(runtime: str, lose: Callable[[str], None], **options: Any) -> None:
    """Start Ray's processes, and call ``lose`` when one of them dies."""
    try:
        _try_init(runtime, options)
    except Exception:  # noqa: BLE001  # Ray raises whatever it likes; on a busy machine it loses patience with itself
        ray.shutdown()
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _try_init(runtime, options)
    threading.Thread(target=_watch, args=(lose,), name="watch", daemon=True).start()


def _try_init(runtime: str, options: dict[str, Any]) -> None:
    with light_node():
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=os.path.join(runtime, "r"),
            **options,
        )


def _watch(lose: Callable[[str], None]) -> None:
    """Notice the end of Ray's own processes, for which Ray itself would wait a minute."""
    node: Any = import_module("ray._private.worker")._global_node  # noqa: SLF001  # it has no public name
    while True:
        time.sleep(_WATCH_EVERY_S)
        if dead := [name for name, _ in node.dead_processes()]:
            lose(f"Ray's {', '.join(dead)} ended unexpectedly")


class NoPlaceError(Exception):
    """There is no node now that may take an attempt."""


class Carrier(Protocol):
    """How attempts get to where they run."""

    nodes: tuple[Node, ...]

    def ahead(self) -> int:
        """Return how many attempts of a kind Ray may have that have not begun."""
        ...

    def submit(self, spec: AttemptSpec, ticket: str) -> Any:
        """Hand an attempt to Ray; return the generator of its events. Raises `NoPlaceError` or `OSError`."""
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

    def ahead(self) -> int:
        # no more are submitted than there are processors
        return sys.maxsize

    def submit(self, spec: AttemptSpec, ticket: str) -> Any:  # noqa: ARG002  # as the protocol has it
        return self._remote.options(**placement(spec)).remote(msgspec.json.encode(spec), None)

    def withdraw(self, ticket: str) -> bool:  # noqa: ARG002  # as the protocol has it
        return False

    def events(self, spec: AttemptSpec, generator: Any) -> Iterator[Event]:  # noqa: ARG002  # as the protocol has it
        for reference in generator:
            yield from decode_events(ray.get(reference))


def placement(spec: AttemptSpec, places: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """Return the options by which Ray places an attempt; ``places`` is a label selector like that of the task."""
    return {
        "name": spec.task,
        "num_cpus": spec.cpus,
        "num_gpus": spec.gpus,
        "memory": spec.memory or None,
        "resources": spec.custom or None,
        "label_selector": {**places, **spec.labels} or None,
    }


class RaySession:
    """The tasks that Ray runs for one driver."""

    def __init__(self, frames: Frames[Order], carrier: Carrier) -> None:
        self._frames = frames
        self._carrier = carrier
        self._running: dict[str, _Task] = {}
        self._lock = threading.Lock()
        self._gate: Gate[_Task] = Gate(carrier.ahead, self._begin)

    def serve(self) -> None:
        """Announce the resources, and carry out orders until the driver closes the connection."""
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        resources = {name: amount for name, amount in total.items() if not name.startswith(NOT_ASSIGNABLE)}
        self._frames.send(ExecutorReady(executor=NAME, resources=resources, nodes=self._carrier.nodes))
        while isinstance(order := self._frames.receive(), Submit | Cancel):
            if isinstance(order, Submit):
                task = _Task(order.spec, self._carrier, self._frames, self._gate.note_begun)
                with self._lock:
                    self._running[order.spec.task] = task
                self._gate.enter(task, _kind(order.spec))
            elif (found := self._running.get(order.task)) is not None:
                self._cancel(found, order.grace)

    def lose(self, attempt: str, reason: str) -> None:
        """Take an attempt for lost, from which nothing is heard."""
        for task in list(self._running.values()):
            if attempt_name(task.spec) == attempt:
                task.lose(reason)
                self._gate.note_begun(task)
                self._forget(task)

    def submit_again(self) -> None:
        """Submit again what has not begun: its nodes are others now.

        Ray waits long for tasks that were on their way to a dead node.
        """
        self._gate.look_again()
        for task in self._gate.inside:
            threading.Thread(target=self._submit_again, args=(task,), daemon=True).start()

    def _begin(self, task: _Task) -> None:
        threading.Thread(target=self._follow, args=(task,), name=task.spec.task, daemon=True).start()

    def _submit_again(self, task: _Task) -> None:
        if submission := task.withdraw():
            self._follow(task, submission)

    def _cancel(self, task: _Task, grace: float) -> None:
        if self._gate.take_back(task):
            task.give_back()
            self._forget(task)
        else:
            threading.Thread(target=task.cancel, args=(grace,), daemon=True).start()

    def _follow(self, task: _Task, submission: int = 0) -> None:
        task.follow(submission)
        if task.is_over:
            self._gate.note_begun(task)
            self._forget(task)

    def _forget(self, task: _Task) -> None:
        with self._lock:
            if self._running.get(task.spec.task) is task:
                del self._running[task.spec.task]


def _kind(spec: AttemptSpec) -> tuple[object, ...]:
    """Return what attempts have in common that wait for the same nodes."""
    return spec.cpus, spec.gpus, spec.memory, *sorted(spec.custom.items()), *sorted(spec.labels.items())


class _Task:
    """One attempt on its way through Ray.

    It may be submitted several times, and several threads follow what they submitted: only the last submission
    counts, and none begins after the end was reported.
    """

    def __init__(
        self,
        spec: AttemptSpec,
        carrier: Carrier,
        frames: Frames[Order],
        note_begun: Callable[[_Task], object],
    ) -> None:
        self.spec = spec
        self._note_begun = note_begun
        self._carrier = carrier
        self._frames = frames
        self._submitted = time.time_ns()
        self._generator: Any = None
        self._submission = 0
        """The number of the last one."""
        self._started = threading.Event()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._cancelled = False

    def follow(self, submission: int = 0) -> None:
        """Submit it, and pass on its events, until it ends or is lost; wait while no node may take it."""
        while self._counts(submission):
            try:
                end = self._follow(submission)
            except (NoPlaceError, TaskUnschedulableError):
                if not self._cancelled:
                    time.sleep(_PLACE_AGAIN_S)
                    continue
                end = "cancelled", "cancelled"
            if end:
                self._report(*end, submission)
            return

    def _follow(self, submission: int) -> tuple[AttemptOutcome, str] | None:
        """Follow one submission; return how it ended, and why, where it did not report that itself."""
        try:
            generator = self._carrier.submit(self.spec, self._ticket(submission))
            with self._lock:
                counts = self._counts(submission)
                if counts:
                    self._generator = generator
            if self._cancelled or not counts:
                ray.cancel(generator)
            if not counts:
                return None
            for event in self._carrier.events(self.spec, generator):
                if isinstance(event, Started):
                    self._started.set()
                    self._note_begun(self)
                if not self._pass_on(event):
                    return None
        except TaskCancelledError:
            return "cancelled", "cancelled"
        except (NoPlaceError, TaskUnschedulableError):
            raise
        except Exception as error:  # noqa: BLE001  # Ray raises whatever it likes, and somebody waits for an end
            return "lost", str(error) or type(error).__name__
        return "lost", "its Ray worker ended without a result"

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def withdraw(self) -> int:
        """Take back what was submitted and has not begun; return the number to submit it with, 0 if too late."""
        submission = self._submission
        if self._started.is_set() or self._over.is_set() or self._cancelled:
            return 0
        try:
            withdrawn = self._carrier.withdraw(self._ticket(submission))
        except RayError:
            return 0
        with self._lock:
            if not withdrawn or not self._counts(submission):
                return 0
            self._submission = submission + 1
            generator, self._generator = self._generator, None
        if generator is not None:
            ray.cancel(generator)
        return submission + 1

    def _counts(self, submission: int) -> bool:
        return submission == self._submission and not self._over.is_set()

    def _ticket(self, submission: int) -> str:
        return f"{attempt_name(self.spec)}:{submission}"

    def cancel(self, grace: float) -> None:
        """Tell the task; end its worker when it does not listen."""
        self._cancelled = True
        ask_to_end(self.spec, grace)
        generator = self._generator
        if not self._started.is_set() and generator is not None:
            ray.cancel(generator)
        if not self._over.wait(grace + _STUCK_AFTER_S) and self._generator is not None:
            ray.cancel(self._generator, force=True)

    def give_back(self) -> None:
        """Report that it is cancelled; it was never submitted."""
        if self._close():
            self._send_end("cancelled", "cancelled")

    def lose(self, reason: str) -> None:
        """Give it up."""
        self._report("lost", reason)

    def _pass_on(self, event: Event) -> bool:
        """Send its events to the driver, up to its end; return whether the end is still to come."""
        with self._lock:
            if self._over.is_set():
                return False
            self._frames.send(event)
            if isinstance(event, Ended):
                self._over.set()
            return not self._over.is_set()

    def _report(self, outcome: AttemptOutcome, reason: str, submission: int | None = None) -> None:
        """Report its end for a worker that cannot, once nothing of it runs on this machine.

        Nothing is reported of a submission that does not count any more.
        """
        if self._close(submission):
            end_marked(self.spec.runtime, self.spec.task)
            self._send_end("cancelled" if self._cancelled else outcome, reason)

    def _close(self, submission: int | None = None) -> bool:
        """Let it be over, at most once; return whether that was now."""
        with self._lock:
            if not self._counts(self._submission if submission is None else submission):
                return False
            self._over.set()
            return True

    def _send_end(self, outcome: AttemptOutcome, reason: str) -> None:
        result = AttemptResult(
            outcome=outcome,
            started=self._submitted,
            ended=time.time_ns(),
            failure=Failure(type="_OTHER", message=reason) if outcome == "lost" else None,
        )
        self._frames.send(Ended(task=self.spec.task, attempt=self.spec.attempt, result=result))
