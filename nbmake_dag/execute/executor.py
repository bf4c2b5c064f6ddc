"""Executors, which run attempts: their protocol, and the driver's end of an executor that is a child process."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from nbmake_dag.execute.processes.frames import Frames
from nbmake_dag.execute.processes.runtime_dir import end_marked
from nbmake_dag.execute.processes.supervisor import ExitStatus, Supervisor
from nbmake_dag.execute.processes.zygote_client import last_words
from nbmake_dag.execute.protocol import (
    AttemptResult,
    AttemptSpec,
    Cancel,
    Close,
    Ended,
    Event,
    ExecutorLost,
    Failure,
    Recall,
    Returned,
    Started,
    Submit,
)
from nbmake_dag_reporting.vocabulary import AttemptOutcome

Sink = Callable[[Event], None]

_SEND_WITHIN_S = 30
_EXIT_WITHIN_S = 5.0
DEAF_AFTER_S = 40.0
"""Beyond the grace period of a cancelled attempt; executors that listen end it sooner."""
_LOOK_S = 1.0
_TAIL_BYTES = 2000


class Executor(Protocol):
    """Run attempts, and report their events to a sink.

    Every attempt submitted is answered by one `Ended`, also when the executor itself is lost; or, where it waited
    behind another one, by one `Returned`.
    """

    @property
    def is_lost(self) -> bool: ...

    def submit(self, spec: AttemptSpec, known_failures: int | None = None) -> None: ...

    def cancel(self, task: str, grace: float) -> None: ...

    def recall(self, task: str) -> None: ...

    def close(self) -> None: ...


class ChildExecutor:
    """An executor in a process below the supervisor; its events reach ``sink`` in a thread of this object."""

    def __init__(
        self,
        name: str,
        supervisor: Supervisor,
        argv: Sequence[str],
        env: Mapping[str, str],
        sink: Sink,
        *,
        title: str | None = None,
    ) -> None:
        self.name = name
        self._title = title or f"the {name} executor"
        self._supervisor = supervisor
        self._sink = sink
        self._running: dict[str, AttemptSpec] = {}
        self._waiting: set[str] = set()
        """Those of them that waited behind another one, and have not begun."""
        self._cancelled: dict[str, float] = {}
        """Those that were cancelled, and when this process counts as deaf if they have not ended."""
        self._listens = False
        self._lock = threading.Lock()
        self._lost = ""
        self._closed = False
        self._status: ExitStatus | None = None
        self._exited = threading.Event()
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_WITHIN_S, 0))
        self._frames = Frames(ours, msgspec.json.Decoder(Event))
        self._log = supervisor.runtime.join(f"{name}.log")
        with theirs:
            self._child = supervisor.spawn(
                argv,
                env=env,
                cwd=supervisor.runtime.path,
                log=self._log,
                descriptors=[theirs.fileno()],
                on_exit=self._note_exit,
            )
        threading.Thread(target=self._read, name=f"{name} events", daemon=True).start()

    @property
    def is_lost(self) -> bool:
        """Whether it takes nothing any more; `ExecutorLost` follows the answers for what it had."""
        return bool(self._lost)

    def submit(self, spec: AttemptSpec, known_failures: int | None = None) -> None:
        with self._lock:
            lost = self._lost
            if not lost:
                self._running[spec.task] = spec
                if known_failures is not None:
                    self._waiting.add(spec.task)
        if lost:
            self._sink(_lost(spec, lost))
        else:
            self._send(Submit(spec=spec, known_failures=known_failures))

    def cancel(self, task: str, grace: float) -> None:
        """End an attempt, or the executor with it if that does not answer: it may be stopped, or stuck."""
        with self._lock:
            if task not in self._running:
                return
            self._cancelled[task] = time.monotonic() + grace + DEAF_AFTER_S
            starts, self._listens = not self._listens, True
        self._send(Cancel(task=task, grace=grace))
        if starts:
            threading.Thread(target=self._listen, name=f"{self.name} cancels", daemon=True).start()

    def _listen(self) -> None:
        """Wait until all that was cancelled has ended, or end the process."""
        while True:
            with self._lock:
                first = min(self._cancelled.values(), default=None)
                if first is None or self._closed:
                    self._listens = False
                    return
            if (left_s := first - time.monotonic()) <= 0:
                self._supervisor.kill(self._child)
                return
            if self._exited.wait(min(left_s, _LOOK_S)):
                return

    def recall(self, task: str) -> None:
        """Have an attempt returned, if it has not begun."""
        self._send(Recall(task=task))

    def close(self) -> None:
        """Ask it to end, and return at once. What it still ran ends with it, unreported."""
        self._closed = True
        self._send(Close())

    def _send(self, order: Submit | Cancel | Recall | Close) -> None:
        try:
            self._frames.send(order)
        except OSError:
            # gone, or deaf; either way its end is seen by the reader
            self._supervisor.kill(self._child)

    def _note_exit(self, status: ExitStatus) -> None:
        self._status = status
        self._exited.set()

    def _read(self) -> None:
        reason, misused = "", False
        try:
            while (event := self._frames.receive()) is not None:
                if isinstance(event, Started | Ended | Returned):
                    with self._lock:
                        self._waiting.discard(event.task)
                        if not isinstance(event, Started):
                            self._running.pop(event.task, None)
                            self._cancelled.pop(event.task, None)
                elif isinstance(event, ExecutorLost):
                    reason, misused = event.reason, event.misused
                    break
                self._sink(event)
        except msgspec.DecodeError as error:
            reason = f"it sent an invalid message: {error}"
        self._supervisor.kill(self._child)
        self._frames.close()
        if self._closed:
            return
        reason = reason or self._why()
        with self._lock:
            self._lost = reason
            left = list(self._running.values())
            self._running.clear()
        for spec in left:
            if spec.task in self._waiting:
                self._sink(Returned(task=spec.task, attempt=spec.attempt))
            else:
                end_marked(spec.runtime, spec.task)
                self._sink(_lost(spec, reason, "cancelled" if spec.task in self._cancelled else "lost"))
        self._sink(ExecutorLost(executor=self.name, reason=reason, misused=misused))

    def _why(self) -> str:
        self._exited.wait(_EXIT_WITHIN_S)
        if self._status is None:
            return f"{self._title} closed its connection"
        ended = f"exited with {self._status}" if self._status >= 0 else f"was killed by signal {-self._status}"
        text = last_words(self._log, _TAIL_BYTES)
        if "\n" not in text:
            return f"{self._title} {ended}" + (f": {text}" if text else "")
        return f"{self._title} {ended}; its last output:\n{text}"


def python_argv(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours with this interpreter, independent of the current folder."""
    return [sys.executable, "-P", "-m", module, *arguments]


def _lost(spec: AttemptSpec, reason: str, outcome: AttemptOutcome = "lost") -> Ended:
    now = time.time_ns()
    failure = Failure(type="_OTHER", message=reason)
    result = AttemptResult(outcome=outcome, started=now, ended=now, failure=failure)
    return Ended(task=spec.task, attempt=spec.attempt, result=result)
