"""An attempt on a node of a cluster: a Ray task that has it run below a supervisor, and passes on its events.

Where the driver's workspace is seen at the same place, the attempt runs in it, as on the driver's machine.
Elsewhere it runs in a private copy of the repository, made of blobs that the node keeps; what it leaves travels
back before its end is reported. The node tells the driver every few seconds that the attempt is alive; when the
driver cannot be reached, everything of the attempt is ended.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import ray
import ray.util
from msgspec.structs import replace
from ray.exceptions import RayError

from nbmake_dag.execute import inline
from nbmake_dag.execute.executor import ChildExecutor, python_argv
from nbmake_dag.execute.processes.runtime_dir import RuntimeDir
from nbmake_dag.execute.processes.supervisor import Supervisor
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Ended,
    Event,
    ExecutorLost,
    ExecutorReady,
    Failure,
    Started,
    Transfer,
)
from nbmake_dag.execute.ray.blobs import Courier
from nbmake_dag.execute.ray.node_cache import NodeCache
from nbmake_dag.execute.ray.task import cancel_grace, decode_spec, encode_events, next_batch, with_gpus
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.depot import Depot
from nbmake_dag_cache.remote import Remote

ALIVE_EVERY_S = 3.0
DRIVER_LOST_AFTER_S = 30.0
"""Without an answer of the driver, a node ends what it runs for it."""
NODE_LOST_AFTER_S = 45.0
"""Without a word from a node, the driver takes its attempts for lost; by then the node has ended them."""

_OF_THE_MACHINE = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_OF_THE_MACHINE_PREFIXES = ("CONDA_", "XDG_", "JUPYTER_")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a node must know of the driver in addition to the attempt."""

    nonce_path: str
    nonce: str
    max_size: int
    remote: str | None
    zones: tuple[str, ...]
    env: dict[str, str]
    """Variables of the runtime environment, which the work sees too."""


def node_task(encoded: bytes, ticket: str, terms: bytes, post: Any) -> Iterator[bytes]:
    """Run an attempt, unless it was withdrawn; yield its events, encoded, as they come."""
    spec = with_gpus(decode_spec(encoded))
    attempt = f"{spec.task}:{spec.attempt}"
    if not ray.get(post.claim.remote(ticket, attempt), timeout=DRIVER_LOST_AFTER_S):
        return
    node: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    begun = time.time_ns()
    yield encode_events([Started(task=spec.task, attempt=spec.attempt, time=begun, pid=os.getpid(), node=node)])
    alive = _Pulse(post, attempt)
    try:
        visit = _Visit(spec, msgspec.json.decode(terms, type=Terms), post)
        for *before, last in visit.events():
            if isinstance(last, Ended):
                end = replace(last, result=replace(last.result, started=begun, node=node))
                yield encode_events([*before, end])
            else:
                yield encode_events([*before, last])
    finally:
        alive.stop()


class _Visit:
    """One attempt at one node."""

    def __init__(self, spec: AttemptSpec, terms: Terms, post: Any) -> None:
        self._spec = spec
        self._terms = terms
        self._cache = NodeCache.of_user()
        self._at_home = _reads(terms.nonce_path) == terms.nonce
        depot = _depot(terms.remote, terms.zones) if terms.remote else None
        self._courier = Courier(post, self._cache.store, self._cache.locks, depot)
        self._transfer_s = 0.0

    def events(self) -> Iterator[list[Event]]:
        try:
            order = self._here()
        except (BlobError, RayError, OSError) as error:
            yield [self._lost(f"the files of the task did not reach the node: {error}")]
            return
        for *before, last in _host().run(order):
            if isinstance(last, Ended):
                yield [*before, self._returned(last)]
                return
            yield [*before, last]
        yield [self._lost("the processes that run tasks on the node ended")]

    def _here(self) -> AttemptSpec:
        """Return the order as it is on this machine, for which blobs may have to be fetched."""
        host = _host()
        env = {**self._spec.env, **self._terms.env}
        spec = replace(self._spec, runtime=host.runtime, scratch=host.scratch(), env=env)
        if self._at_home:
            return spec
        begun = time.monotonic()
        blobs = {file.blob: file.size for file in spec.sees if file.blob}
        for upstream in spec.upstream.values():
            blobs |= {artifact.sha256: artifact.size for artifact in upstream.logged.artifacts.values()}
        self._courier.fetch(blobs.items())
        self._cache.trim(self._terms.max_size, set(blobs))
        self._transfer_s += time.monotonic() - begun
        return replace(
            spec,
            blobs=self._cache.folder,
            sandbox=self._cache.sandboxes,
            apart=True,
            store=True,
            env={**{name: value for name, value in env.items() if not _is_of_machine(name)}, **_machine()},
        )

    def _returned(self, end: Ended) -> Ended:
        """Bring what an attempt left to the driver, before its end is reported."""
        result = end.result
        if not self._at_home:
            begun = time.monotonic()
            try:
                self._courier.send(_blobs_of(result))
            except (BlobError, RayError, OSError) as error:
                return self._lost(f"the results of the task did not reach the driver: {error}")
            self._transfer_s += time.monotonic() - begun
        moved = Transfer(
            seconds=self._transfer_s,
            fetched=self._courier.fetched,
            shared=self._courier.shared,
            sent=self._courier.sent,
        )
        return replace(end, result=replace(result, transfer=moved))

    def _lost(self, reason: str) -> Ended:
        now = time.time_ns()
        failure = Failure(type="_OTHER", message=reason)
        result = AttemptResult(outcome="lost", started=now, ended=now, failure=failure)
        return Ended(task=self._spec.task, attempt=self._spec.attempt, result=result)


class _Host:
    """The processes of this Ray worker that run attempts, one at a time; they end when it does."""

    def __init__(self) -> None:
        # Ray kills the children of a worker, and nobody would be left to end theirs
        self._supervisor = Supervisor.start(RuntimeDir.create(), detached=True)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        argv = python_argv(inline.MODULE)
        self._executor = ChildExecutor(inline.NAME, self._supervisor, argv, env, self._events.put)
        self._attempts = 0

    @property
    def runtime(self) -> str:
        return self._supervisor.runtime.path

    def scratch(self) -> str:
        self._attempts += 1
        path = self._supervisor.runtime.join(f"a{self._attempts}")
        os.mkdir(path, 0o700)
        return path

    def run(self, spec: AttemptSpec) -> Iterator[list[Event]]:
        """Yield batches of events until the attempt has ended, or its processes have."""
        self._executor.submit(spec)
        cancelled = False
        while True:
            grace = None if cancelled else cancel_grace(spec)
            if grace is not None:
                cancelled = True
                self._executor.cancel(spec.task, grace)
            heard = next_batch(self._events)
            batch: list[Event] = [event for event in heard if not isinstance(event, Started | ExecutorReady)]
            if any(isinstance(event, ExecutorLost) for event in batch):
                self._close()
                return
            if batch:
                yield batch
            if batch and isinstance(batch[-1], Ended):
                if batch[-1].result.outcome == "lost":
                    self._close()
                return

    def _close(self) -> None:
        """End everything; the next attempt gets another."""
        self._executor.close()
        self._supervisor.close()
        _host.cache_clear()


@functools.cache
def _host() -> _Host:
    return _Host()


@functools.cache
def _depot(url: str, zones: tuple[str, ...]) -> Depot:
    """Open the shared cache once for all that this process runs, so that one that fails is given up for good."""
    return Depot(Remote(url), zones)


class _Pulse:
    """Reports to the driver that an attempt is alive, and ends this process when that fails."""

    def __init__(self, post: Any, attempt: str) -> None:
        self._post = post
        self._attempt = attempt
        self._over = threading.Event()
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        self._post.over.remote(self._attempt)

    def _beat(self) -> None:
        heard = time.monotonic()
        while not self._over.is_set():
            try:
                ray.get(self._post.alive.remote(self._attempt), timeout=ALIVE_EVERY_S)
                heard = time.monotonic()
            except RayError:
                if time.monotonic() - heard > DRIVER_LOST_AFTER_S and not self._over.is_set():
                    os._exit(1)
            self._over.wait(ALIVE_EVERY_S)


def _blobs_of(result: AttemptResult) -> Iterator[str]:
    named = (result.notebook, result.cell_outputs, result.log, result.logged.series)
    yield from (name for name in named if name)
    yield from (artifact.sha256 for artifact in result.logged.artifacts.values())
    yield from (file.sha256 for output in result.outputs for file in output.files)


def _reads(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def _is_of_machine(name: str) -> bool:
    return name in _OF_THE_MACHINE or name.startswith(_OF_THE_MACHINE_PREFIXES)


def _machine() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if _is_of_machine(name)}
