"""The Ray executor: a process that has a Ray of its own, or joins a cluster, and runs attempts as Ray tasks.

It finds its socket to the driver as descriptor 3. Attempts that are lost with their worker are reported as lost,
and never run again by Ray.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nbmake_dag.execute import ray_local
from nbmake_dag.execute.frames import Frames
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Cancel,
    Ended,
    ExecutorLost,
    ExecutorReady,
    Failure,
    Order,
    Started,
    Submit,
)
from nbmake_dag.execute.runtime_dir import end_marked

_CONNECTION = 3
_INIT_WITHIN_S = 75.0
_STUCK_AFTER_S = 20.0
_WATCH_EVERY_S = 0.5
_OBJECT_STORE = 80 << 20
"""Bytes, about the least that Ray takes: only small values go through it."""
_NOT_ASSIGNABLE = ("object_store_memory", "node:")


class RayHost:
    """The tasks that Ray runs for one driver."""

    def __init__(self, connection: socket.socket) -> None:
        self._frames = Frames(connection, msgspec.json.Decoder(Order))
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._running: dict[str, _Task] = {}
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def lose(self, reason: str) -> None:
        """Report that Ray is gone, and end."""
        self._frames.send(ExecutorLost(executor="ray", reason=reason))
        os._exit(1)

    def serve(self) -> None:
        """Announce what there is, and carry out orders until the driver wants no more."""
        import ray  # noqa: PLC0415  # the environment comes first

        from nbmake_dag.execute.ray_task import attempt_task, warm_task  # noqa: PLC0415

        total = {name: float(amount) for name, amount in ray.cluster_resources().items()}
        resources = {name: amount for name, amount in total.items() if not name.startswith(_NOT_ASSIGNABLE)}
        self._frames.send(ExecutorReady(executor="ray", resources=resources))
        warm = ray.remote(max_retries=0)(warm_task)
        for _ in range(int(resources.get("CPU", 0))):
            warm.remote()
        remote = ray.remote(max_retries=0, num_returns="streaming")(attempt_task)
        while (order := self._orders.get()) is not None:
            if isinstance(order, Submit):
                task = _Task(order.spec, remote, self._frames)
                self._running[order.spec.task] = task
                threading.Thread(target=self._follow, args=(task,), name=order.spec.task, daemon=True).start()
            elif isinstance(order, Cancel) and (found := self._running.get(order.task)) is not None:
                threading.Thread(target=found.cancel, args=(order.grace,), daemon=True).start()

    def _read(self) -> None:
        while isinstance(order := self._frames.receive(), Submit | Cancel):
            self._orders.put(order)
        # Ray's processes die with this one, and the supervisor ends what is below them
        os._exit(0)

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
        import ray  # noqa: PLC0415

        from nbmake_dag.execute.ray_task import decode_events  # noqa: PLC0415

        outcome, reason = "lost", "its Ray worker ended without a result"
        try:
            for reference in self._generator:
                for event in decode_events(ray.get(reference)):
                    if isinstance(event, Started):
                        self._started.set()
                    self._over_if(event)
                    self._frames.send(event)
        except ray.exceptions.TaskCancelledError:
            outcome, reason = "cancelled", "cancelled"
        except ray.exceptions.RayError as error:
            reason = str(error)
        if not self._over.is_set():
            self._over.set()
            self._report("cancelled" if self._cancelled else outcome, reason)

    def cancel(self, grace: float) -> None:
        """Tell the task; end its worker when it does not listen."""
        import ray  # noqa: PLC0415
        from ray.experimental.internal_kv import _internal_kv_put  # noqa: PLC0415

        from nbmake_dag.execute.ray_task import cancel_key  # noqa: PLC0415

        self._cancelled = True
        _internal_kv_put(cancel_key(self.spec), repr(grace).encode())
        if not self._started.is_set():
            ray.cancel(self._generator)
        if not self._over.wait(grace + _STUCK_AFTER_S):
            ray.cancel(self._generator, force=True)

    def _over_if(self, event: object) -> None:
        if isinstance(event, Ended):
            self._over.set()

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


def _start_local(host: RayHost, runtime: str, cpus: int) -> None:
    ray_local.set_environment()
    import ray  # noqa: PLC0415  # the environment comes first

    with ray_local.light_node():
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=_OBJECT_STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            _temp_dir=os.path.join(runtime, "r"),
            _node_ip_address="127.0.0.1",
        )
    threading.Thread(target=_watch, args=(host, ray), name="watch", daemon=True).start()


def _watch(host: RayHost, ray: Any) -> None:
    """Notice the end of Ray's own processes, for which Ray itself would wait a minute."""
    node = ray._private.worker._global_node  # noqa: SLF001  # Ray has no public name for it
    while True:
        time.sleep(_WATCH_EVERY_S)
        if dead := [name for name, _ in node.dead_processes()]:
            host.lose(f"Ray's {', '.join(dead)} ended unexpectedly")


def _join_cluster(host: RayHost, address: str, runtime_env: Mapping[str, Any]) -> None:
    ray_local.set_common_environment()
    if not _has_token():
        host.lose(
            f"no token for the Ray cluster at {address}: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, "
            "or put it into ~/.ray/auth_token"
        )
    import ray  # noqa: PLC0415  # the environment comes first

    ray.init(address=address, log_to_driver=False, logging_level="error", runtime_env=dict(runtime_env) or None)


def _has_token() -> bool:
    """Say whether there is a token where Ray looks for it."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    default = Path.home() / ".ray" / "auth_token"
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or default)
    return path.is_file() and bool(path.read_text(encoding="utf-8").strip())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--address")
    parser.add_argument("--runtime-env", type=json.loads, default={})
    arguments = parser.parse_args()
    connection = socket.socket(fileno=_CONNECTION)
    connection.set_inheritable(False)
    host = RayHost(connection)
    late = threading.Timer(_INIT_WITHIN_S, host.lose, (f"Ray did not start within {_INIT_WITHIN_S:.0f} s",))
    late.daemon = True
    late.start()
    try:
        if arguments.address:
            _join_cluster(host, arguments.address, arguments.runtime_env)
        else:
            _start_local(host, arguments.runtime, arguments.cpus)
    except Exception as error:  # noqa: BLE001  # Ray raises whatever it likes
        host.lose(f"Ray did not start: {type(error).__name__}: {error}")
    late.cancel()
    host.serve()


if __name__ == "__main__":
    main()
