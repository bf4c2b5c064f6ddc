"""A Ray cluster of many nodes on this machine, made by Ray's own cluster utilities: nodes join, and are lost."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from nbmake_dag.execute.ray.local import light_node
from tests.support.project import await_true

STORE = 80 << 20
TRIES = 10
"""Ray gives up on a busy machine when a part of it takes more than 15 s to begin, or a node 30 s to join."""
END_WITHIN_S = 20.0
TOKEN = secrets.token_hex(32)
"""Ray reads it once in each process."""


class RayNodes:
    """A head without processors, and nodes with one each; all see the same files."""

    def __init__(self) -> None:
        # short, for Ray's sockets
        self._folder = tempfile.mkdtemp(prefix="nbdag-nodes-", dir="/tmp")
        self._before = dict(os.environ)
        self.environment: Mapping[str, str] = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        os.environ.update(self.environment)
        # where it leaves the address of its head, in a folder that it takes to be there
        os.environ["RAY_TMPDIR"] = self._folder
        os.mkdir(os.path.join(self._folder, "ray"))
        made: Any = import_module("ray.cluster_utils")
        self._cluster = made.Cluster(shutdown_at_exit=False)
        self.nodes: list[Any] = []
        self._add(num_cpus=0, temp_dir=self._folder, include_dashboard=False)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self) -> None:
        """Have a node join."""
        self.nodes.append(self._add(num_cpus=1))

    def kill(self, node: Any) -> None:
        """Lose a node without notice."""
        self.nodes.remove(node)
        for each in node.all_processes.values():
            for one in each:
                one.process.kill()
                one.process.wait()

    def drain(self, node: Any, within_s: float) -> None:
        """Lose a node with notice: it gets nothing new, and is taken away at its deadline."""
        raylet: Any = import_module("ray._raylet")
        protocol: Any = import_module("ray.core.generated.autoscaler_pb2")
        reason = protocol.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        deadline = int((time.time() + within_s) * 1000)
        accepted, why = raylet.GcsClient(address=self.address).drain_node(node.node_id, reason, "a test", deadline)
        assert accepted, why
        time.sleep(within_s)
        self.kill(node)

    def workers_begun(self) -> int:
        """Return how many workers Ray has started on all nodes, which it does for each task that finds none."""
        return sum(1 for _ in Path(self._folder).rglob("python-core-worker-*.log"))

    def close(self) -> None:
        for node in [*self.nodes, self._cluster.head_node]:
            node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        os.environ.clear()
        os.environ.update(self._before)
        await_true(lambda: not self._left(), END_WITHIN_S, "processes of Ray are left")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _add(self, **options: Any) -> Any:
        there = psutil.Process().children()
        for tries_left in reversed(range(TRIES)):
            try:
                with light_node():
                    return self._cluster.add_node(object_store_memory=STORE, **options)
            except Exception:  # Ray raises whatever it likes
                if not tries_left:
                    raise
                # of its processes, the others end with the first
                for process in set(psutil.Process().children()) - set(there):
                    process.kill()
        raise AssertionError

    def _left(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(self._folder in word for word in process.cmdline()):
                    found.append(process)
        return found
