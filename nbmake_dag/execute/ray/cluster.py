"""A Ray cluster: join it, send attempts to its nodes and get results back.

For nodes that do not see the workspace, all that an attempt may see is named by digest before it is submitted, and
what it leaves is put in place from blobs.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, assert_never

import msgspec
import ray
from msgspec.structs import replace
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nbmake_dag.execute.protocol import (
    AttemptSpec,
    CellEnded,
    CellStarted,
    Ended,
    EnvironmentMade,
    Event,
    ExecutorLost,
    ExecutorReady,
    ExecutorSays,
    MakingEnvironment,
    Printed,
    Returned,
    SeenFile,
    Snapshotted,
    Started,
    Transfer,
    Unresumable,
)
from nbmake_dag.execute.ray.blobs import Post
from nbmake_dag.execute.ray.kind import Cluster
from nbmake_dag.execute.ray.node import NODE_LOST_AFTER_S, Terms, node_task
from nbmake_dag.execute.ray.roster import Roster
from nbmake_dag.execute.ray.session import RaySession, placement
from nbmake_dag.execute.ray.task import decode_events
from nbmake_dag_cache.blobs import BlobStore

_ANSWER_WITHIN_S = 60.0
_LOOK_EVERY_S = 2.0
_POST_THREADS = 16
_LEAST_AHEAD = 32


class UnfitClusterError(Exception):
    """The nodes of a cluster do not meet the requirements; the message lists everything that is missing."""


class ClusterCarrier:
    """Attempts run wherever the cluster has room for them."""

    def __init__(self, cluster: Cluster) -> None:
        """Join the cluster, and ask each node what it has; one of them must answer.

        Raises `UnfitClusterError`, or any error of Ray.
        """
        if cluster.allocation is None:
            ray.init(
                address=cluster.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env=cluster.runtime_env or None,
            )
        self._store = BlobStore(cluster.blobs)
        self._names: dict[tuple[str, int, int, int, int], SeenFile] = {}
        # the head of an allocation is a login node, where no task has any business
        self._roster = Roster(cluster, spared=cluster.allocation is not None)
        admitted, problems = self._roster.admit(_ANSWER_WITHIN_S)
        if not admitted:
            silent = self._roster.silent
            problems += [f"{name} does not answer within {_ANSWER_WITHIN_S:.0f} s" for name in silent]
        if problems:
            raise UnfitClusterError("the cluster cannot run this pipeline:\n  " + "\n  ".join(problems))
        self.nodes = self._roster.nodes
        terms = Terms(
            nonce_path=self._roster.nonce_path,
            nonce=self._roster.nonce,
            max_size=cluster.max_size,
            remote=cluster.remote,
            zones=cluster.zones,
            env=dict(cluster.runtime_env.get("env_vars", {})),
        )
        self._terms = msgspec.json.encode(terms)
        beside = NodeAffinitySchedulingStrategy(self._roster.here, soft=False)
        post: Any = ray.remote(Post)
        options = {"num_cpus": 0, "max_concurrency": _POST_THREADS, "scheduling_strategy": beside}
        self._post = post.options(**options).remote(cluster.blobs)
        self._remote = ray.remote(max_retries=0, num_returns="streaming")(node_task)

    def ahead(self) -> int:
        return max(_LEAST_AHEAD, 2 * self._roster.cpus())

    def submit(self, spec: AttemptSpec, ticket: str) -> Any:
        """Hand an attempt to Ray; raises `NoPlaceError`, or `OSError` where a file that it needs is not read."""
        places, all_see = self._roster.places()
        if not all_see:
            spec = replace(spec, sees=tuple(self._named(spec, file) for file in spec.sees))
        options = placement(spec, places)
        return self._remote.options(**options).remote(msgspec.json.encode(spec), ticket, self._terms, self._post)

    def withdraw(self, ticket: str) -> bool:
        """Keep an attempt from beginning; ``False`` if it has begun. Raises `RayError`."""
        return bool(ray.get(self._post.withdraw.remote(ticket), timeout=NODE_LOST_AFTER_S))

    def events(self, spec: AttemptSpec, generator: Any) -> Iterator[Event]:
        """Yield the events of an attempt, in the time of this machine's clock."""
        submitted, skew, placed_s = time.time_ns(), 0, 0.0
        for reference in generator:
            for event in decode_events(ray.get(reference)):
                if isinstance(event, Started):
                    now = time.time_ns()
                    skew, placed_s = now - event.time, (now - submitted) / 1e9
                match event:
                    case Ended():
                        yield self._arrived(spec, event, skew, placed_s)
                    case EnvironmentMade():
                        yield replace(event, started=event.started + skew, time=event.time + skew)
                    case Started() | CellStarted() | CellEnded() | Printed() | MakingEnvironment():
                        yield replace(event, time=event.time + skew)
                    case Snapshotted() | Unresumable():
                        pass  # a snapshot is of use on the machine that has it
                    case Returned() | ExecutorReady() | ExecutorLost() | ExecutorSays():
                        pass  # between a node and its own processes
                    case _:
                        assert_never(event)

    def watch(self, session: RaySession, lose: Callable[[str], object], warn: Callable[[str], object]) -> None:
        """Notice, from now on, attempts of which nothing is heard, and nodes that go or join."""
        if self._roster.silent:
            warn(f"warning: not used until they answer: {', '.join(self._roster.silent)}")
        threading.Thread(target=self._watch, args=(session, lose), name="watch", daemon=True).start()
        threading.Thread(target=self._welcome, args=(session, warn), name="welcome", daemon=True).start()

    def _watch(self, session: RaySession, lose: Callable[[str], object]) -> None:
        while True:
            time.sleep(_LOOK_EVERY_S)
            try:
                if self._roster.forget_gone():
                    session.submit_again()
                silent = ray.get(self._post.silent.remote(NODE_LOST_AFTER_S), timeout=NODE_LOST_AFTER_S)
            except Exception as error:  # noqa: BLE001  # Ray raises whatever it likes
                lose(f"the connected cluster, or a process serving it, ended: {error}")
                return
            for attempt in silent:
                session.lose(attempt, f"its node did not respond for {NODE_LOST_AFTER_S:.0f} s")
                self._post.over.remote(attempt)

    def _welcome(self, session: RaySession, warn: Callable[[str], object]) -> None:
        while True:
            time.sleep(_LOOK_EVERY_S)
            try:
                admitted, problems = self._roster.admit(0)
            except Exception:  # noqa: BLE001, S112  # likewise; if it stays so, the other thread ends the build
                continue
            for problem in problems:
                warn(f"warning: a node joined, and gets no tasks: {problem}")
            if admitted:
                session.submit_again()

    def _arrived(self, spec: AttemptSpec, end: Ended, skew: int, placed_s: float) -> Ended:
        """Put outputs that came as blobs in place, and return the result in the time of this machine."""
        result = end.result
        if result.apart:
            for output in result.outputs:
                for folder in (output.path, *output.folders) if output.path.endswith("/") else ():
                    os.makedirs(os.path.join(spec.root, folder), exist_ok=True)
                for file in output.files:
                    place = os.path.join(spec.root, file.path)
                    self._store.restore(file.sha256, place, executable=file.executable)
        return replace(
            end,
            result=replace(
                result,
                started=result.started + skew,
                ended=result.ended + skew,
                ready=None if result.ready is None else result.ready + skew,
                cells=tuple(
                    replace(cell, started=cell.started + skew, ended=cell.ended + skew) for cell in result.cells
                ),
                transfer=replace(result.transfer or Transfer(), placement_s=placed_s),
            ),
        )

    def _named(self, spec: AttemptSpec, file: SeenFile) -> SeenFile:
        """Name a file's content, and see that there is a blob of it; each is read once while it stays as it is."""
        if file.path.endswith("/"):
            return file
        path = os.path.join(spec.root, file.path)
        found = os.stat(path)
        stamp = (path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_mode)
        if stamp not in self._names:
            stored = self._store.put_file(path)
            self._names[stamp] = replace(
                file, blob=stored.sha256, size=stored.size, executable=bool(found.st_mode & 0o100)
            )
        return self._names[stamp]
