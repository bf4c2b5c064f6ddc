"""Run one program in a session of its own: what it prints, how long it may take, and what it costs."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import IO, Literal, Protocol, TypeAlias

import msgspec

from nbmake_dag.errors import is_short_of_something
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.runtime_dir import end_holders, end_marked
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

STREAMS = ("stdout", "stderr")
_News: TypeAlias = Literal["cancelled", "timeout"]


class ProcessRun(msgspec.Struct, frozen=True, kw_only=True):
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
        what = f"{arguments[0]!r} cannot be started: {error}"
        if isinstance(error, OSError) and error.filename == cwd:
            what = f"it cannot run in {cwd}: {error.strerror}"
        failure = Failure(type=type(error).__name__, message=what)
        is_lost = isinstance(error, OSError) and is_short_of_something(error)
        return ProcessRun(
            outcome="lost" if is_lost else "failed", started=started, ended=time.time_ns(), failure=failure
        )
    child = _Spawned(process)
    try:
        return Watch(child, (process.stdout, process.stderr), spec, emit, started, redactor).run(cancellation)
    except BaseException:
        child.signal(signal.SIGKILL)
        process.wait()
        raise


class _Log(msgspec.Struct):
    """What was printed: the beginning and the end, where it is too much."""

    head: bytearray = msgspec.field(default_factory=bytearray)
    tail: deque[bytes] = msgspec.field(default_factory=deque[bytes])
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


class Child(Protocol):
    """A process that has been started."""

    pid: int

    @contextlib.contextmanager
    def end_noticed(self) -> Generator[int]:
        """Give a descriptor that can be polled for the end of the process, which is not reaped before `reap`."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group."""
        ...

    def reap(self) -> tuple[int, float, int] | None:
        """Return exit code, processor time and memory, once it has ended; ``None`` where nobody knows."""
        ...


class _Spawned:
    """A child of this process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    @contextlib.contextmanager
    def end_noticed(self) -> Generator[int]:
        with contextlib.ExitStack() as opened:
            descriptor = _pidfd(self.pid)
            if descriptor is None:
                noticed = _Wake()
                opened.callback(noticed.close)
                threading.Thread(target=self._await_exit, args=(noticed,), daemon=True).start()
                descriptor = noticed.reader
            else:
                opened.callback(os.close, descriptor)
            yield descriptor

    def _await_exit(self, noticed: _Wake) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        noticed.call()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def reap(self) -> tuple[int, float, int] | None:
        _, status, usage = os.wait4(self.pid, 0)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        return code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _RSS_UNIT


class _Wake:
    """A pipe by which other threads wake the one that watches a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reader, self._writer = os.pipe()
        self._open = True

    def call(self) -> None:
        with self._lock:
            if self._open:
                os.write(self._writer, b"!")

    def close(self) -> None:
        with self._lock:
            self._open = False
            os.close(self.reader)
            os.close(self._writer)


class _Pipe:
    """One stream of a process, as it is read."""

    def __init__(self, name: str, file: IO[bytes], redactor: Redactor) -> None:
        self.name = name
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stream = RedactedStream(redactor) if redactor else None

    @property
    def descriptor(self) -> int:
        return self._file.fileno()

    def read(self) -> tuple[bytes, str] | None:
        """Return what is there, redacted; ``None`` at its end."""
        data = os.read(self.descriptor, _PIECE)
        if not data:
            return None
        text = self._decode(data)
        if self._stream is None:
            return data, text
        text = self._stream.feed(text)
        return text.encode(), text

    def close(self) -> tuple[bytes, str]:
        """Return what was held back because it could have been the beginning of a secret."""
        self._file.close()
        text = self._stream.flush() if self._stream else ""
        return text.encode(), text


class Watch:
    """Follows one process: its pipes, its end, and the wish to end it, all in the thread that calls `run`."""

    def __init__(
        self,
        child: Child,
        pipes: Iterable[IO[bytes] | None],
        spec: AttemptSpec,
        emit: Callable[[Event], None],
        started: int,
        redactor: Redactor,
    ) -> None:
        self._child = child
        self._spec = spec
        self._emit = emit
        self._started = started
        self._log = _Log()
        self._poll = select.poll()
        self._pipes: dict[int, _Pipe] = {}
        for name, file in zip(STREAMS, pipes, strict=True):
            if file is not None:
                pipe = _Pipe(name, file, redactor)
                self._pipes[pipe.descriptor] = pipe
                self._poll.register(pipe.descriptor, select.POLLIN)
        self._wake = _Wake()
        self._poll.register(self._wake.reader, select.POLLIN)

    def run(self, cancellation: Cancellation) -> ProcessRun:
        try:
            with self._child.end_noticed() as end:
                self._poll.register(end, select.POLLIN)
                cancellation.on_request(self._wake.call)
                stopped = self._until_exit(cancellation, end)
                self._poll.unregister(end)
            self._child.signal(signal.SIGKILL)
            if not self._drained_within(_LAST_WORDS):
                end_marked(self._spec.runtime, self._spec.task)
                end_holders(self._spec.runtime, self._pipes)
                self._drained_within(_LAST_WORDS)
        finally:
            for pipe in self._pipes.values():
                self._printed(pipe.name, *pipe.close())
            self._wake.close()
        return self._reap(stopped)

    def _until_exit(self, cancellation: Cancellation, end: int) -> _News | None:
        """Return why the process was stopped, ``None`` if it ended by itself."""
        stopped: _News | None = None
        limit = None if self._spec.timeout is None else time.monotonic() + self._spec.timeout
        while True:
            ready = self._read_ready(limit)
            if end in ready:
                return stopped
            news: _News | None = None
            if self._wake.reader in ready:
                self._poll.unregister(self._wake.reader)
                news = "cancelled"
            elif limit is not None and time.monotonic() >= limit:
                news = "timeout"
            if news is None:
                continue
            if stopped is None:
                stopped = news
                self._child.signal(signal.SIGINT)
                grace = cancellation.grace if news == "cancelled" else _GRACE_AFTER_TIMEOUT
                limit = time.monotonic() + grace
            elif news == "timeout":
                self._child.signal(signal.SIGKILL)
                limit = None

    def _read_ready(self, limit: float | None) -> set[int]:
        """Wait for news, read what was printed; return the descriptors that had any, nothing after the limit."""
        wait = None if limit is None else max(0.0, limit - time.monotonic()) * 1000
        ready = {descriptor for descriptor, _ in self._poll.poll(wait)}
        for descriptor in ready & self._pipes.keys():
            pipe = self._pipes[descriptor]
            found = pipe.read()
            if found is None:
                self._poll.unregister(descriptor)
                del self._pipes[descriptor]
                found = pipe.close()
            self._printed(pipe.name, *found)
        return ready

    def _drained_within(self, seconds: float) -> bool:
        """Read the pipes to their ends; return whether they came."""
        limit = time.monotonic() + seconds
        while self._pipes and time.monotonic() < limit:
            self._read_ready(limit)
        return not self._pipes

    def _printed(self, name: str, data: bytes, text: str) -> None:
        if data and self._log.add(data) and text:
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
        failure: Failure | None = None
        end = self._child.reap()
        log = self._log.content()
        if end is None:
            failure = Failure(type="_OTHER", message="the process that started it has died, and it with that")
            return ProcessRun(
                outcome="lost", started=self._started, ended=time.time_ns(), failure=failure, log=log
            )
        code, cpu_s, peak_rss = end
        outcome: AttemptOutcome = "succeeded"
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
            cpu_s=cpu_s,
            peak_rss=peak_rss,
            exit_code=code,
            pid=self._child.pid,
        )


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that can be polled for the end of a process, where the system has such."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(pid)
    return None


def _describe(code: int) -> str:
    if code > 0:
        return f"exit status {code}"
    return f"ended by signal {-code} ({signal.strsignal(-code)})"
