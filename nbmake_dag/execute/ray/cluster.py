"""The user's Ray cluster: join it, check the software of its nodes, send attempts to them and get results back.

A node sees the workspace if a file that was just written into it can be read there. For those that do not, all
that an attempt may see is named by digest before it is submitted, and what it leaves is put in place from blobs.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, assert_never

import msgspec
import ray
from msgspec.structs import replace
from ray.exceptions import GetTimeoutError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nbmake_dag import __version__
from nbmake_dag.execute.protocol import (
    AttemptSpec,
    CellEnded,
    CellStarted,
    Ended,
    EnvironmentMade,
    Event,
    ExecutorLost,
    ExecutorReady,
    MakingEnvironment,
    Node,
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
from nbmake_dag.execute.ray.session import NOT_ASSIGNABLE, RaySession, placement
from nbmake_dag.execute.ray.task import decode_events
from nbmake_dag.observe.state_file import is_no_file, put_aside, replace_file
from nbmake_dag_cache.blobs import BlobStore

_CHECK_WITHIN_S = 60.0
_ASK_AGAIN_S = 0.5
_LOOK_EVERY_S = 2.0
_POST_THREADS = 16


class UnfitClusterError(Exception):
    """The nodes of a cluster do not meet the requirements; the message lists everything that is missing."""


class ClusterCarrier:
    """Attempts run wherever the cluster has room for them."""

    def __init__(self, cluster: Cluster) -> None:
        """Join the cluster and look at each node; raises `UnfitClusterError`, or any error of Ray."""
        ray.init(
            address=cluster.address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=cluster.runtime_env or None,
        )
        self._store = BlobStore(cluster.blobs)
        self._names: dict[tuple[str, int, int, int, int], SeenFile] = {}
        alive = [row for row in ray.nodes() if row["Alive"]]  # type: ignore[no-untyped-call]
        self.nodes = tuple(map(_node, alive))
        terms = Terms(
            nonce_path=_nonce_path(cluster.root),
            nonce=secrets.token_hex(16),
            max_size=cluster.max_size,
            remote=cluster.remote,
            zones=cluster.zones,
            env=dict(cluster.runtime_env.get("env_vars", {})),
        )
        write_nonce(terms.nonce_path, terms.nonce)
        self._terms = msgspec.json.encode(terms)
        seen = _check(alive, cluster, terms)
        here = ray.get_runtime_context().get_node_id()
        if here not in seen:
            raise UnfitClusterError("Ray on this machine does not see its files: is it in a container?")
        self._everywhere = len(seen) == len(alive)
        beside = NodeAffinitySchedulingStrategy(here, soft=False)
        post: Any = ray.remote(Post)
        options = {"num_cpus": 0, "max_concurrency": _POST_THREADS, "scheduling_strategy": beside}
        self._post = post.options(**options).remote(cluster.blobs)
        self._remote = ray.remote(max_retries=0, num_returns="streaming")(node_task)

    def submit(self, spec: AttemptSpec, ticket: str) -> Any:
        """Hand an attempt to Ray; raises `OSError` where a file that it needs cannot be read."""
        if not self._everywhere:
            spec = replace(spec, sees=tuple(self._named(spec, file) for file in spec.sees))
        options = placement(spec)
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
                    case Returned() | ExecutorReady() | ExecutorLost():
                        pass  # between a node and its own processes
                    case _:
                        assert_never(event)

    def watch(self, session: RaySession, lose: Callable[[str], object]) -> None:
        """Notice, from now on, attempts of which nothing is heard."""
        threading.Thread(target=self._watch, args=(session, lose), name="watch", daemon=True).start()

    def _watch(self, session: RaySession, lose: Callable[[str], object]) -> None:
        alive = _alive()
        while True:
            time.sleep(_LOOK_EVERY_S)
            before, alive = alive, _alive()
            if before - alive:
                session.submit_again()
            try:
                silent = ray.get(self._post.silent.remote(NODE_LOST_AFTER_S), timeout=NODE_LOST_AFTER_S)
            except RayError as error:
                lose(f"the connected cluster, or a process serving it, ended: {error}")
                return
            for key in silent:
                task, _, attempt = key.rpartition(":")
                session.lose(task, int(attempt), f"its node did not respond for {NODE_LOST_AFTER_S:.0f} s")
                self._post.over.remote(key)

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


def write_nonce(path: str, nonce: str) -> None:
    """Write the file by which nodes know the workspace; what is there and is no regular file is put aside."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path) and is_no_file(path):
        put_aside(path)
    replace_file(path, nonce.encode())


def _alive() -> frozenset[str]:
    return frozenset(row["NodeID"] for row in ray.nodes() if row["Alive"])  # type: ignore[no-untyped-call]


def _nonce_path(root: str) -> str:
    return os.path.join(root, ".nbdag", "state", "seen-by-nodes")


def _node(row: dict[str, Any]) -> Node:
    return Node(
        name=row["NodeManagerAddress"],
        resources={
            name: amount for name, amount in row["Resources"].items() if not name.startswith(NOT_ASSIGNABLE)
        },
        labels=dict(row.get("Labels") or {}),
    )


def _check(rows: list[dict[str, Any]], cluster: Cluster, terms: Terms) -> frozenset[str]:
    """Ask every node what it has; return those that see the workspace. Raises `UnfitClusterError`."""
    look = ray.remote(num_cpus=0, max_retries=0)(_looker())

    def ask(node: str) -> Any:
        return look.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            runtime_env=cluster.runtime_env or None,
        ).remote(terms.nonce_path, list(cluster.packages))

    asked = [(row["NodeID"], row["NodeManagerAddress"], ask(row["NodeID"])) for row in rows]
    deadline = time.monotonic() + _CHECK_WITHIN_S
    needed = {
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "nbmake-dag": __version__,
        **{name: _version(name) for name in cluster.packages},
    }
    seen: set[str] = set()
    problems: list[str] = []
    for node, name, reference in asked:
        try:
            answer = _answer(node, reference, ask, deadline)
        except GetTimeoutError:
            problems.append(f"{name} does not answer within {_CHECK_WITHIN_S:.0f} s")
            continue
        except RayError as error:
            problems.append(f"{name} cannot be queried: {error}")
            continue
        if answer is None:
            continue
        nonce, has = answer
        if nonce == terms.nonce:
            seen.add(node)
        problems += [
            f"{name} has {what} {has[what] or '(not installed)'}, and this machine {version or '(not installed)'}"
            for what, version in needed.items()
            if has[what] != version
        ]
    if problems:
        raise UnfitClusterError("the cluster cannot run this pipeline:\n  " + "\n  ".join(problems))
    return frozenset(seen)


def _answer(
    node: str, reference: Any, ask: Callable[[str], Any], deadline: float
) -> tuple[str, dict[str, str]] | None:
    """Wait for what a node answers, ``None`` where it has gone meanwhile; raises `RayError`.

    A node that joined just now is not known to all of Ray yet, and is asked again.
    """
    while True:
        try:
            answer: tuple[str, dict[str, str]] = ray.get(reference, timeout=max(0.0, deadline - time.monotonic()))
        except RayError as error:
            if node not in _alive():
                return None
            if not isinstance(error, TaskUnschedulableError) or time.monotonic() > deadline:
                raise
            time.sleep(_ASK_AGAIN_S)
            reference = ask(node)
        else:
            return answer


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _looker() -> Callable[[str, list[str]], tuple[str, dict[str, str]]]:
    """Make the question to a node, which must be asked where nbdag may not be installed: it travels whole."""

    def look(nonce_path: str, packages: list[str]) -> tuple[str, dict[str, str]]:
        import importlib.metadata  # noqa: PLC0415
        import sys  # noqa: PLC0415

        has = {"Python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        for name in ("nbmake-dag", *packages):
            try:
                has[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                has[name] = ""
        try:
            with open(nonce_path, encoding="ascii") as file:
                return file.read(), has
        except (OSError, ValueError):
            return "", has

    return look
