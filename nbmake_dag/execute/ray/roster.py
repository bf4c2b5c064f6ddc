"""The nodes of a cluster that attempts may be sent to: each is asked what it has first, also one that joins later.

Ray itself would send attempts to a node as soon as it joins. So every attempt names the nodes that it may go to,
and is submitted again, if it has not begun, when these are others.
"""

from __future__ import annotations

import importlib.metadata
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nbmake_dag import __version__
from nbmake_dag.execute.protocol import Node
from nbmake_dag.execute.ray.kind import Cluster
from nbmake_dag.execute.ray.session import NOT_ASSIGNABLE, NoPlaceError
from nbmake_dag.observe.state_file import is_no_file, put_aside, read_regular, replace_file

NODE_ID = "ray.io/node-id"
"""The label that Ray itself gives every node."""
_ASK_AGAIN_S = 0.5


class Roster:
    """Nodes that have the software of this machine, and whether each sees the workspace.

    A node sees it if a file that was just written into it can be read there. The driver's own node is none of them
    where ``spared``.
    """

    def __init__(self, cluster: Cluster, *, spared: bool) -> None:
        self._cluster = cluster
        self.nonce_path = os.path.join(cluster.root, ".nbdag", "state", "seen-by-nodes")
        self.nonce = secrets.token_hex(16)
        write_nonce(self.nonce_path, self.nonce)
        self._needed = {
            "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "nbmake-dag": __version__,
            **{name: _version(name) for name in cluster.packages},
        }
        self._look: Any = ray.remote(num_cpus=0, max_retries=0)(_looker())
        self.here: str = ray.get_runtime_context().get_node_id()
        self._spared = spared
        self._known: set[str] = set()
        self._asked: dict[str, tuple[dict[str, Any], Any]] = {}
        """Nodes that have not answered yet: what Ray says of each, and what the answer will be in."""
        self._admitted: dict[str, bool] = {}
        self._cpus: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes that are there, but for one that is spared."""
        return tuple(_node(row) for row in _alive() if not (self._spared and row["NodeID"] == self.here))

    @property
    def silent(self) -> list[str]:
        """The addresses of nodes that have not answered yet."""
        return [row["NodeManagerAddress"] for row, _ in self._asked.values()]

    def admit(self, within_s: float) -> tuple[bool, list[str]]:
        """Ask the nodes that have joined; return whether any is admitted now, and what others lack, which are not.

        What does not answer in time is heard the next time.
        """
        for row in _alive():
            if row["NodeID"] not in self._known:
                self._known.add(row["NodeID"])
                self._asked[row["NodeID"]] = row, self._ask(row["NodeID"])
        deadline = time.monotonic() + within_s
        admitted = False
        problems: list[str] = []
        for node, (row, reference) in list(self._asked.items()):
            name = row["NodeManagerAddress"]
            try:
                answer = self._answer(node, reference, deadline)
            except GetTimeoutError:
                continue
            except RayError as error:
                answer = None
                problems.append(f"{name} cannot be queried: {error}")
            del self._asked[node]
            if answer is None:
                continue
            nonce, has = answer
            lacks = [
                f"{name} has {what} {has[what] or '(not installed)'}, "
                f"and this machine {version or '(not installed)'}"
                for what, version in self._needed.items()
                if has[what] != version
            ]
            if node == self.here and nonce != self.nonce:
                lacks.append("Ray on this machine does not see its files: is it in a container?")
            problems += lacks
            if not lacks and not (self._spared and node == self.here):
                admitted = True
                with self._lock:
                    self._admitted[node] = nonce == self.nonce
                    self._cpus[node] = row["Resources"].get("CPU", 0.0)
        return admitted, problems

    def forget_gone(self) -> bool:
        """Take nodes that have gone from the list; return whether there were any."""
        alive = {row["NodeID"] for row in _alive()}
        with self._lock:
            gone = self._admitted.keys() - alive
            for node in gone:
                del self._admitted[node], self._cpus[node]
        return bool(gone)

    def cpus(self) -> int:
        """Return the processors of the nodes that attempts may go to."""
        with self._lock:
            return int(sum(self._cpus.values()))

    def places(self) -> tuple[dict[str, str], bool]:
        """Return a label selector for the nodes that attempts may go to now, and whether all see the workspace.

        For a build that holds the lock. Raises `NoPlaceError`, or `OSError` where the workspace is not written.
        """
        with self._lock:
            keep_nonce(self.nonce_path, self.nonce)
            if not self._admitted:
                raise NoPlaceError
            return {NODE_ID: f"in({','.join(self._admitted)})"}, all(self._admitted.values())

    def _ask(self, node: str) -> Any:
        return self._look.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            runtime_env=self._cluster.runtime_env or None,
        ).remote(self.nonce_path, list(self._cluster.packages))

    def _answer(self, node: str, reference: Any, deadline: float) -> tuple[str, dict[str, str]] | None:
        """Wait for what a node answers, ``None`` where it has gone meanwhile.

        Raises `RayError`, and `GetTimeoutError` for one that has not answered yet.

        A node that joined just now is not known to all of Ray yet, and is asked again.
        """
        while True:
            try:
                answer: tuple[str, dict[str, str]] = ray.get(
                    reference, timeout=max(0.0, deadline - time.monotonic())
                )
            except RayError as error:
                if all(row["NodeID"] != node for row in _alive()):
                    return None
                if not isinstance(error, TaskUnschedulableError):
                    raise
                reference = self._ask(node)
                self._asked[node] = self._asked[node][0], reference
                if time.monotonic() >= deadline:
                    raise GetTimeoutError("it was asked again") from None
                time.sleep(_ASK_AGAIN_S)
            else:
                return answer


def write_nonce(path: str, nonce: str) -> None:
    """Write the file by which nodes know the workspace; what is there and is no regular file is put aside."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path) and is_no_file(path):
        put_aside(path)
    replace_file(path, nonce.encode())


def keep_nonce(path: str, nonce: str) -> None:
    """Write that file again if it has gone, or another build wrote its own, as between the builds of a watch."""
    with suppress(OSError):
        if read_regular(path) == nonce.encode():
            return
    write_nonce(path, nonce)


def _alive() -> list[dict[str, Any]]:
    return [row for row in ray.nodes() if row["Alive"]]  # type: ignore[no-untyped-call]


def _node(row: dict[str, Any]) -> Node:
    return Node(
        name=row["NodeManagerAddress"],
        resources={
            name: amount for name, amount in row["Resources"].items() if not name.startswith(NOT_ASSIGNABLE)
        },
        labels=dict(row.get("Labels") or {}),
    )


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
