"""Run one program in a session of its own: what it prints, how long it may take, and what it costs."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Literal, TypeAlias

from nbmake_dag.errors import is_short_of_something
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.runtime_dir import end_marked
from nbmake_dag.execute.protocol import AttemptSpec, Event, Failure, Printed
from nbmake_dag.execute.redaction import RedactedStream, Redactor
from nbmake_dag_reporting.vocabulary import AttemptOutcome

_PIECE = 1 << 14
"""Bytes read at once; as text of three bytes for each of them still below what one `Printed` may hold."""
_HEAD = 12 << 20
_TAIL = 4 << 20
_SHOWN_ON_FAILURE = 8 << 10
_GRACE_AFTER_TIMEOUT = 2.0
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_LAST_WORDS = 2.0
"""Seconds in which the pipes of a killed group must end; a process that left it and holds them longer is ended."""

_News: TypeAlias = Literal["exited", "cancelled", "timeout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRun:
    """How a process ended. Times in nanoseconds since the epoch; memory in bytes."""

    outcome: AttemptOutcome
    started: int
    ended: int
    failure: Failure | None = None
    log: bytes = b""
    cpu_s: float | None = None
    peak_rss: int | None = None
    """The largest of its processes, as far as their parents waited for them."""
    exit_code: int | None = None
    """Negative: the signal that ended it."""
    pid: int | None = None


def run_process(
    arguments: Sequence[str],
    spec: AttemptSpec,
    emit: Callable[[Event], None],
    cancellation: Cancellation,
    redactor: Redactor,
    *,
    cwd: str,
) -> ProcessRun:
    """Run a program to its end, and with it everything that it left in its process group."""
    started = time.time_ns()
    if cancellation.requested:
        return ProcessRun(outcome="cancelled", started=started, ended=started)
    try:
        process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=spec.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        failure = Failure(type=type(error).__name__, message=f"{arguments[0]!r} cannot be started: {error}")
        is_lost = isinstance(error, OSError) and is_short_of_something(error)
        return ProcessRun(
            outcome="lost" if is_lost else "failed", started=started, ended=time.time_ns(), failure=failure
        )
    return _Watch(process, spec, emit, started, redactor).run(cancellation)


@dataclass(slots=True)
class _Log:
    """What was printed: the beginning and the end, where it is too much."""

    head: bytearray = field(default_factory=bytearray)
    tail: deque[bytes] = field(default_factory=deque[bytes])
    in_tail: int = 0
    dropped: int = 0

    def add(self, data: bytes) -> bool:
        """Keep output; return whether it belongs to the beginning, and so is worth showing live."""
        if len(self.head) < _HEAD:
            self.head += data
            return True
        self.tail.append(data)
        self.in_tail += len(data)
        while self.in_tail - len(self.tail[0]) >= _TAIL:
            piece = self.tail.popleft()
            self.in_tail -= len(piece)
            self.dropped += len(piece)
        return False

    def content(self) -> bytes:
        note = b"\n[%d bytes left out]\n" % self.dropped if self.dropped else b""
        return bytes(self.head) + note + b"".join(self.tail)


class _Watch:
    """Follows one process: a thread for each pipe and one for its end pass events to the caller of `run`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        spec: AttemptSpec,
        emit: Callable[[Event], None],
        started: int,
        redactor: Redactor,
    ) -> None:
        self._redactor = redactor
        self._process = process
        self._spec = spec
        self._emit = emit
        self._started = started
        self._log = _Log()
        self._lock = threading.Lock()
        self._over = False
        self._news: SimpleQueue[_News] = SimpleQueue()

    def run(self, cancellation: Cancellation) -> ProcessRun:
        readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in ("stdout", "stderr")]
        for thread in (*readers, threading.Thread(target=self._await_exit, daemon=True)):
            thread.start()
        cancellation.on_request(lambda: self._news.put("cancelled"))
        stopped = self._until_exit(cancellation)
        self._signal(signal.SIGKILL)
        if not _ended_within(_LAST_WORDS, readers):
            end_marked(self._spec.runtime, self._spec.task)
            _ended_within(_LAST_WORDS, readers)
        with self._lock:
            self._over = True
        return self._reap(stopped)

    def _until_exit(self, cancellation: Cancellation) -> _News | None:
        """Return why the process was stopped, ``None`` if it ended by itself."""
        stopped: _News | None = None
        limit = None if self._spec.timeout is None else time.monotonic() + self._spec.timeout
        while True:
            news = self._next(limit)
            if news == "exited":
                return stopped
            if stopped is None:
                stopped = news
                self._signal(signal.SIGINT)
                grace = cancellation.grace if news == "cancelled" else _GRACE_AFTER_TIMEOUT
                limit = time.monotonic() + grace
            elif news == "timeout":
                self._signal(signal.SIGKILL)
                limit = None

    def _next(self, limit: float | None) -> _News:
        try:
            return self._news.get(timeout=None if limit is None else max(0.0, limit - time.monotonic()))
        except Empty:
            return "timeout"

    def _await_exit(self) -> None:
        """Wait without reaping, so that the number of the group is not reused before it is killed."""
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._news.put("exited")

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self, name: str) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        stream = RedactedStream(self._redactor) if self._redactor else None
        with getattr(self._process, name) as pipe:
            while data := os.read(pipe.fileno(), _PIECE):
                text = decode(data)
                if stream is not None:
                    text = stream.feed(text)
                    data = text.encode()
                self._printed(name, data, text)
        if stream is not None and (text := stream.flush()):
            self._printed(name, text.encode(), text)

    def _printed(self, name: str, data: bytes, text: str) -> None:
        with self._lock:
            if not self._over and self._log.add(data) and text:
                self._emit(
                    Printed(
                        task=self._spec.task,
                        attempt=self._spec.attempt,
                        time=time.time_ns(),
                        stream=name,
                        text=text,
                    )
                )

    def _reap(self, stopped: _News | None) -> ProcessRun:
        _, status, usage = os.wait4(self._process.pid, 0)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        log = self._log.content()
        outcome: AttemptOutcome = "succeeded"
        failure = None
        if stopped == "cancelled":
            outcome = "cancelled"
        elif stopped == "timeout":
            failure = Failure(type="timeout", message=f"still running after {self._spec.timeout:g} s")
            outcome = "timeout"
        elif code:
            tail = log[-_SHOWN_ON_FAILURE:].decode(errors="replace")
            failure = Failure(type="exit", message=_describe(code), traceback=tail)
            outcome = "failed"
        return ProcessRun(
            outcome=outcome,
            started=self._started,
            ended=time.time_ns(),
            failure=failure,
            log=log,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_rss=usage.ru_maxrss * _RSS_UNIT,
            exit_code=code,
            pid=self._process.pid,
        )


def _ended_within(seconds: float, threads: Sequence[threading.Thread]) -> bool:
    limit = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _describe(code: int) -> str:
    if code > 0:
        return f"exit status {code}"
    return f"ended by signal {-code} ({signal.strsignal(-code)})"
