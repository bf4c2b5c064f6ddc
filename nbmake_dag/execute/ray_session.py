"""Attempts on a Ray that was started or joined: submitted as tasks, followed, cancelled, reported when lost."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError, TaskCancelledError

from nbmake_dag.execute.frames import Frames
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Cancel,
    Ended,
    ExecutorReady,
    Failure,
    Order,
    Started,
    Submit,
)
from nbmake_dag.execute.ray_local import light_node
from nbmake_dag.execute.ray_task import ask_to_end, attempt_task, decode_events, warm_task
from nbmake_dag.execute.runtime_dir import end_marked

_STUCK_AFTER_S = 20.0
_WATCH_EVERY_S = 0.5
_OBJECT_STORE = 80 << 20
"""Bytes, about the least that Ray takes: only small values go through it."""
_NOT_ASSIGNABLE = ("object_store_memory", "node:")


def start_local(runtime: str, cpus: int, lose: Callable[[str], None]) -> None:
    """Start a Ray of this process's own, and wait until one of its workers is warm; tell ``lose`` when it dies."""
    with light_node():
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=_OBJECT_STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=os.path.join(runtime, "r"),
            _node_ip_address="127.0.0.1",
        )
    threading.Thread(target=_watch, args=(lose,), name="watch", daemon=True).start()
    warm = ray.remote(max_retries=0)(warm_task)
    ray.wait([warm.remote() for _ in range(cpus)])


def join_cluster(address: str, runtime_env: Mapping[str, Any]) -> None:
    """Join a cluster of the user's; the working directory is never sent to it."""
    ray.init(
        address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=dict(runtime_env) or None
    )


def _watch(lose: Callable[[str], None]) -> None:
    """Notice the end of Ray's own processes, for which Ray itself would wait a minute."""
    node: Any = import_module("ray._private.worker")._global_node  # noqa: SLF001  # it has no public name
    while True:
        time.sleep(_WATCH_EVERY_S)
        if dead := [name for name, _ in node.dead_processes()]:
            lose(f"Ray's {', '.join(dead)} ended unexpectedly")


class RaySession:
    """The tasks that Ray runs for one driver."""

    def __init__(self, frames: Frames[Order]) -> None:
        self._frames = frames
        self._running: dict[str, _Task] = {}

    def serve(self) -> None:
        """Announce what there is, and carry out orders until the driver wants no more."""
        total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        resources = {name: amount for name, amount in total.items() if not name.startswith(_NOT_ASSIGNABLE)}
        self._frames.send(ExecutorReady(executor="ray", resources=resources))
        remote = ray.remote(max_retries=0, num_returns="streaming")(attempt_task)
        while isinstance(order := self._frames.receive(), Submit | Cancel):
            if isinstance(order, Submit):
                task = _Task(order.spec, remote, self._frames)
                self._running[order.spec.task] = task
                threading.Thread(target=self._follow, args=(task,), name=order.spec.task, daemon=True).start()
            elif (found := self._running.get(order.task)) is not None:
                threading.Thread(target=found.cancel, args=(order.grace,), daemon=True).start()

    def _follow(self, task: _Task) -> None:
        task.follow()
        if self._running.get(task.spec.task) is task:
            del self._running[task.spec.task]


class _Task:
    """One attempt on its way through Ray."""

    def __init__(self, spec: AttemptSpec, remote: Any, frames: Frames[Order]) -> None:
        self.spec = spec
        self._frames = frames
        self._submitted = time.time_ns()
        self._started = threading.Event()
        self._over = threading.Event()
        self._cancelled = False
        options = remote.options(
            name=spec.task,
            num_cpus=spec.cpus,
            num_gpus=spec.gpus,
            memory=spec.memory or None,
            resources=spec.custom or None,
            label_selector=spec.labels or None,
        )
        self._generator = options.remote(msgspec.json.encode(spec), None)

    def follow(self) -> None:
        """Pass on what the task says, until it ends or is lost."""
        outcome, reason = "lost", "its Ray worker ended without a result"
        try:
            for reference in self._generator:
                for event in decode_events(ray.get(reference)):
                    if isinstance(event, Started):
                        self._started.set()
                    elif isinstance(event, Ended):
                        self._over.set()
                    self._frames.send(event)
        except TaskCancelledError:
            outcome, reason = "cancelled", "cancelled"
        except RayError as error:
            reason = str(error)
        if not self._over.is_set():
            self._over.set()
            self._report("cancelled" if self._cancelled else outcome, reason)

    def cancel(self, grace: float) -> None:
        """Tell the task; end its worker when it does not listen."""
        self._cancelled = True
        ask_to_end(self.spec, grace)
        if not self._started.is_set():
            ray.cancel(self._generator)
        if not self._over.wait(grace + _STUCK_AFTER_S):
            ray.cancel(self._generator, force=True)

    def _report(self, outcome: str, reason: str) -> None:
        """Say how it ended in the place of a worker that cannot, once nothing of it runs on this machine."""
        end_marked(self.spec.runtime, self.spec.task)
        result = AttemptResult(
            outcome=outcome,
            started=self._submitted,
            ended=time.time_ns(),
            failure=Failure(type="_OTHER", message=reason) if outcome == "lost" else None,
        )
        self._frames.send(Ended(task=self.spec.task, attempt=self.spec.attempt, result=result))
