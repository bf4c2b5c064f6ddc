"""An executor that is driven by a test: submitted to, listened to, ended."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from nbmake_dag.execute.executor import ChildExecutor
from nbmake_dag.execute.processes.runtime_dir import RuntimeDir
from nbmake_dag.execute.processes.supervisor import Supervisor
from nbmake_dag.execute.protocol import AttemptSpec, CommandWork, Ended, Event

WITHIN_S = 90


class Driver:
    """What a build has of an executor, and a project for its tasks.

    ``argv`` gets the build's private folder.
    """

    def __init__(self, root: Path, name: str, argv: Callable[[str], list[str]]) -> None:
        self.root = root
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.runtime = RuntimeDir.create()
        self.supervisor = Supervisor.start(self.runtime)
        self.executor = ChildExecutor(
            name, self.supervisor, argv(self.runtime.path), dict(os.environ), self.events.put
        )
        self._scratches = 0

    def submit(self, task: str, script: str, *, known_failures: int | None = None, **options: object) -> None:
        self._scratches += 1
        scratch = self.runtime.join(f"scratch-{self._scratches}")
        os.mkdir(scratch)
        spec = AttemptSpec(
            run_id="run",
            task=task,
            attempt=self._scratches,
            root=str(self.root),
            repository=str(self.root),
            workdir=".",
            work=CommandWork(arguments=script),
            parameters={},
            inputs=[],
            outputs=[],
            env={"PATH": os.environ["PATH"], "NBDAG_TASK": task},
            blobs=str(self.root / "cache"),
            scratch=scratch,
            runtime=self.runtime.path,
            **{"declared_outputs": (), **options},  # type: ignore[arg-type]
        )
        self.executor.submit(spec, known_failures)

    def until(self, kind: type, count: int = 1) -> list[Event]:
        """Return the events up to the ``count``-th of a kind."""
        seen: list[Event] = []
        while sum(isinstance(event, kind) for event in seen) < count:
            seen.append(self.events.get(timeout=WITHIN_S))
        return seen

    def ended(self) -> Ended:
        event = self.until(Ended)[-1]
        assert isinstance(event, Ended)
        return event

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not (self.root / name).exists():
            assert time.monotonic() < deadline, f"{name} was not written"
            time.sleep(0.02)

    def below(self) -> list[psutil.Process]:
        return psutil.Process(self.supervisor.pid).children(recursive=True)

    def close(self) -> None:
        """End it, and claim that nothing of it is left."""
        processes = self.below() if self.supervisor.pid and psutil.pid_exists(self.supervisor.pid) else []
        self.supervisor.close()
        assert not psutil.wait_procs(processes, timeout=15)[1]
