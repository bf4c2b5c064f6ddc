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
from collections.abc import Callable, Iterator
from contextlib import suppress
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
    Left,
    Started,
    Transfer,
    Upstream,
)
from nbmake_dag.execute.ray.blobs import Courier, answer
from nbmake_dag.execute.ray.node_cache import NodeCache
from nbmake_dag.execute.ray.task import (
    attempt_name,
    cancel_grace,
    decode_spec,
    encode_events,
    next_batch,
    with_gpus,
)
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
    attempt = attempt_name(spec)
    if not answer(post.claim.remote(ticket, attempt), DRIVER_LOST_AFTER_S):
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
        if any(not file.blob and not file.path.endswith("/") for file in spec.sees):
            raise OSError("the repository is no longer seen here")
        begun = time.monotonic()
        blobs = {file.blob: file.size for file in spec.sees if file.blob}
        spec = replace(spec, upstream=host.above.fetch(spec.upstream, self._courier.lines))
        blobs |= dict(host.above.artifacts(spec.upstream))
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


class LinesHere:
    """A copy of the lines that the tasks of a build left, on a node that does not see the driver's files.

    It grows as the file does: each line travels once to a node, not once for every task below.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = ""
        self._left: dict[int, Left] = {}
        """Of the present file, by offset."""

    def fetch(self, upstream: Upstream, lines: Callable[[str, int, int], bytes]) -> Upstream:
        """Have the lines here; ``lines`` gets a piece of a file, from an offset to at most a size.

        A new file replaces the earlier one. Raises `OSError` where the driver has no such lines.
        """
        if not upstream.file:
            return upstream
        path = os.path.join(self._folder, os.path.basename(upstream.file))
        if path != self._path:
            self._left.clear()
            with suppress(FileNotFoundError):
                os.unlink(self._path)
            self._path = path
        with open(path, "ab") as file:
            while (offset := file.tell()) < upstream.size:
                piece = lines(upstream.file, offset, upstream.size)
                if not piece:
                    raise OSError("what the tasks above left is no longer there")
                file.write(piece)
        return replace(upstream, file=path)

    def artifacts(self, upstream: Upstream) -> Iterator[tuple[str, int]]:
        """Yield the blobs of what the tasks above logged, each with its size."""
        if not upstream.file:
            return
        seen = set(upstream.above)
        waiting = list(seen)
        with open(upstream.file, "rb") as file:
            while waiting:
                offset = waiting.pop()
                if (left := self._left.get(offset)) is None:
                    file.seek(offset)
                    left = self._left[offset] = msgspec.json.decode(file.readline(), type=Left)
                yield from left.artifacts.values()
                waiting += set(left.above) - seen
                seen.update(left.above)


class Host:
    """The processes of this Ray worker that run attempts, one at a time; they end when it does."""

    def __init__(self) -> None:
        # Ray kills the children of a worker, and nobody would be left to end theirs
        self._supervisor = Supervisor.start(RuntimeDir.create(), detached=True)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        argv = python_argv(inline.MODULE)
        self._executor = ChildExecutor(inline.NAME, self._supervisor, argv, env, self._events.put)
        self._attempts = 0
        self.above = LinesHere(self.runtime)

    @property
    def runtime(self) -> str:
        return self._supervisor.runtime.path

    def scratch(self) -> str:
        self._attempts += 1
        path = self._supervisor.runtime.join(f"a{self._attempts}")
        os.mkdir(path, 0o700)
        return path

    def run(self, spec: AttemptSpec) -> Iterator[list[Event]]:
        """Yield batches of events until the attempt has ended, or its processes have.

        When it is lost, or this is interrupted, everything is ended: the driver may have it run elsewhere.
        """
        sound = False
        try:
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
                    return
                last = batch[-1] if batch else None
                if isinstance(last, Ended):
                    sound = last.result.outcome != "lost"
                if batch:
                    yield batch
                if isinstance(last, Ended):
                    return
        finally:
            if not sound:
                self._close()

    def _close(self) -> None:
        """End everything; the next attempt gets another."""
        self._executor.close()
        self._supervisor.close()
        _host.cache_clear()


@functools.cache
def _host() -> Host:
    return Host()


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
