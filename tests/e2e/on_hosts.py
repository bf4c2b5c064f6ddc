"""A project that is built on one of several hosts, and what its spans tell of the others."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.otlp import decode_line
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import read_run, read_trace
from tests.support.hosts import Host, Hosts
from tests.support.project import NBDAG, Project

MNIST = Path(__file__).parents[2] / "examples" / "mnist-digits"
DIGITS = ("data", "models", "results")
"""What the tasks of that make."""


@dataclass(frozen=True)
class Visit:
    """An attempt at a node: bytes that travelled there, those of them from the shared cache, and bytes back."""

    task: str
    node: str
    seconds: float
    placement_s: float
    fetched: int
    shared: int
    sent: int


class OnHost(Project):
    """A project that is built on a host."""

    def __init__(self, root: Path, hosts: Hosts, host: Host) -> None:
        super().__init__(root)
        self.hosts = hosts
        self.host = host

    def nbdag(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.host.command([*NBDAG, *arguments], cwd=self.root),
            env=self.hosts.environment(self.host) | (env or {}),
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                self.host.command([*NBDAG, *arguments], cwd=self.root),
                env=self.hosts.environment(self.host) | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def holds_the_digits_of(self, folder: Path) -> None:
        """Claim that the outputs of MNIST are those of one machine, where each time gives the same."""
        __tracebackhide__ = True
        alone = Project.copied(MNIST, folder)
        assert len(alone.build().having("ran")) == 10
        ours, theirs = self.contents(DIGITS), alone.contents(DIGITS)
        assert ours.keys() == theirs.keys()
        fixed = [path for path in theirs if path.endswith(".npy")]
        assert {path: ours[path] for path in fixed} == {path: theirs[path] for path in fixed}

    @property
    def log(self) -> Path:
        """What the build that was started last says."""
        return self.host.tree / "build.log"

    def latest(self) -> str:
        """Return the folder of the latest run."""
        return str(max((self.root / ".nbdag/runs").glob("2*")))

    def run(self) -> Run:
        """Read the latest run."""
        return read_run(self.latest())

    def nodes(self) -> dict[str, str | None]:
        """Return the node of each task's last attempt in the latest run."""
        return {task.name: task.attempts[-1].node for task in self.run().tasks.values() if task.attempts}

    def visits(self) -> list[Visit]:
        """Return the attempts of the latest run that came to an end on a node."""
        spans = [span for line in read_trace(self.latest()).splitlines() for span in decode_line(line)[1]]
        return [
            _visit(span.attributes, span.start, span.end)
            for span in spans
            if schema.TRANSFER_FETCHED in span.attributes
        ]


def at_head(hosts: Hosts, source: Path | None = None) -> OnHost:
    """Make a project that the head alone has."""
    return _made(hosts, hosts.hosts["head"].tree / "project", source)


def on_all(hosts: Hosts, source: Path | None = None) -> OnHost:
    """Make a project in a folder that every host sees, and build it at the head."""
    return _made(hosts, hosts.base / "shared" / "project", source)


def _made(hosts: Hosts, root: Path, source: Path | None) -> OnHost:
    if source:
        shutil.copytree(source, root)
    (root / ".nbdag").mkdir(parents=True, exist_ok=True)
    return OnHost(root, hosts, hosts.hosts["head"])


def _visit(attributes: Mapping[str, Any], start: int, end: int) -> Visit:
    return Visit(
        task=attributes[schema.TASK_NAME],
        node=attributes[schema.ATTEMPT_NODE],
        seconds=(end - start) / 1e9,
        placement_s=attributes[schema.ATTEMPT_PLACEMENT],
        fetched=attributes[schema.TRANSFER_FETCHED],
        shared=attributes[schema.TRANSFER_SHARED],
        sent=attributes[schema.TRANSFER_SENT],
    )
