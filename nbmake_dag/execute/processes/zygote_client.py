"""Processes started by a zygote: find or start the zygote, send it requests, receive the ends of processes."""

from __future__ import annotations

import array
import asyncio
import fcntl
import hashlib
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import msgspec

import nbmake_dag
from nbmake_dag.errors import describe, is_short_of_something
from nbmake_dag.execute.processes.runtime_dir import MARKER
from nbmake_dag.inside.zygote import TRY_AGAIN

START_TIMEOUT = 60.0
"""Seconds for a zygote to import everything and to fork."""

_SCRIPT = os.path.join(os.path.dirname(nbmake_dag.__file__), "inside", "zygote.py")
_BACKLOG = 128
_OF_ONE_TASK = ("NBDAG_", "TRACEPARENT")
_CONDITIONS = "NBDAG_VARY_"
"""Prefix of what `inside/conditions/sitecustomize.py` reads."""
_READ_AT_START = (
    _CONDITIONS,
    "PYTHON",
    "LD_",
    "LC_",
    "LANG",
    "MALLOC_",
    "GLIBC_",
    "HOME",
    "VIRTUAL_ENV",
    "CONDA_",
)
"""Prefixes of the variables that a Python reads only when it starts."""
_REFUSED = re.compile(r"^\w+Error: \[Errno \d+\] .*$", re.MULTILINE)


class ZygoteError(Exception):
    """The zygote starts no process: it could not import ipykernel, it is dead, or the machine refuses one more.

    The message is what it wrote, or why it was refused.
    """


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended. A negative code is the signal that killed it."""

    exit_code: int
    cpu_s: float
    peak_rss: int


class Starter(Protocol):
    """Whatever starts processes for us."""

    def failed(self) -> ZygoteError:
        """Return why it starts none."""
        ...


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook that waits between two cells, at the socket ``path``: kernels that it starts go on from there."""

    path: str

    def request(self, message: dict[str, Any], outputs: int) -> Process:
        """Ask for a kernel whose standard output and error are the descriptor ``outputs``."""
        connection = _connected(self.path)
        if connection is None:
            raise self.failed()
        return _asked(self, connection, message, outputs)

    async def answered(self) -> dict[str, Any]:
        """Ask whether it exists: its ``pid``, or as ``refused`` the reason why it was not made."""
        connection = _connected(self.path)
        if connection is None:
            raise self.failed()
        with connection:
            connection.sendall(_framed({"ask": True}))
            connection.setblocking(False)
            line = await asyncio.wait_for(Process(self, connection).line(), START_TIMEOUT)
        if line is None:
            raise self.failed()
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    def end(self) -> None:
        """Kill it and the kernels that it started."""
        _end(self.path)

    def failed(self) -> ZygoteError:
        return ZygoteError("the snapshot is gone")


class Zygote(msgspec.Struct, frozen=True, kw_only=True):
    """One zygote of a build: an interpreter, and what it imports in advance.

    The variables that Python reads when it starts are part of what it is. With modules that users chose, which may
    read any variable when they are imported, all variables are that do not belong to one task.
    """

    runtime: str
    interpreter: str
    env: Mapping[str, str]
    options: tuple[str, ...] = ()
    """Those of the interpreter."""
    cwd: str = "/"
    """The folder that a relative import path is relative to."""
    modules: tuple[str, ...] = ()
    kernels: bool = True
    calls: bool = False
    """Whether it calls functions."""

    @classmethod
    def plain(cls, runtime: str) -> Zygote:
        """One that imports nothing and only starts other programs."""
        return cls(runtime=runtime, interpreter=sys.executable, env={}, kernels=False)

    @classmethod
    def of_functions(cls, runtime: str, env: Mapping[str, str], cwd: str, options: tuple[str, ...]) -> Zygote:
        """One that calls functions in our own Python."""
        return cls(
            runtime=runtime,
            interpreter=sys.executable,
            env=env,
            options=options,
            cwd=cwd,
            kernels=False,
            calls=True,
        )

    def start(self) -> None:
        """Start it unless it runs. It takes requests at once, and answers when it has imported everything."""
        self._connect().close()

    def end(self) -> None:
        """Kill it and all that it started."""
        _end(self.path)

    def request(self, message: dict[str, Any], *outputs: int) -> Process:
        """Ask for a process whose standard output and error is a descriptor, or one is each."""
        return _asked(self, self._connect(), message, *outputs)

    def _connect(self) -> socket.socket:
        path = self.path
        if os.path.exists(path + ".failed"):
            raise self.failed()
        with open(path + ".lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = _connected(path)
            if connection is None:
                self._spawn(path)
                connection = _connected(path)
        if connection is None:
            raise self.failed()
        return connection

    @property
    def path(self) -> str:
        """Its socket."""
        variables = self._starting_env()
        if not self.modules:
            variables = {name: value for name, value in variables.items() if name.startswith(_READ_AT_START)}
        what = [self.interpreter, self.options, self.kernels, self.calls, self.modules]
        identity = [*what, sorted(variables.items())]
        return os.path.join(self.runtime, "z-" + hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:12])

    def _starting_env(self) -> dict[str, str]:
        env = {
            name: value
            for name, value in self.env.items()
            if name.startswith(_CONDITIONS) or not name.startswith(_OF_ONE_TASK)
        }
        if path := env.get("PYTHONPATH"):
            env["PYTHONPATH"] = os.pathsep.join(os.path.join(self.cwd, entry) for entry in path.split(os.pathsep))
        return env

    def _spawn(self, path: str) -> None:
        """Listen on behalf of a zygote, and hand the socket to it."""
        if os.path.exists(path):
            os.unlink(path)  # of one that is dead
        options = self.options if self.kernels or self.calls else ["-I", "-S"]
        does = ["--kernels", *self.modules] if self.kernels else ["--calls"] if self.calls else []
        with _refusals(), socket.socket(socket.AF_UNIX) as listener, open(path + ".log", "ab") as log:
            listener.bind(path)
            listener.listen(_BACKLOG)
            argv = [self.interpreter, *options, _SCRIPT, str(listener.fileno()), self.runtime]
            done = subprocess.run(
                [*argv, *does],
                env={**self._starting_env(), MARKER: self.runtime},
                cwd=self.runtime,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(listener.fileno(),),
                check=False,  # it goes on as a process that is not ours; what it has to say comes by the socket
            )
        if done.returncode == TRY_AGAIN:
            os.unlink(path)
            raise ZygoteError(last_words(path + ".log"))

    def failed(self) -> ZygoteError:
        """Keep everybody from trying again."""
        path = self.path
        with open(path + ".failed", "wb"):
            pass
        return ZygoteError(last_words(path + ".log"))


class Process:
    """A process that a zygote started for us; it is killed, with its group, when we let go of it."""

    def __init__(self, starter: Starter, connection: socket.socket) -> None:
        self._starter = starter
        self._connection = connection
        self._received = b""
        self.pid = 0

    async def started(self) -> int:
        """Wait for the process id."""
        try:
            line = await asyncio.wait_for(self.line(), START_TIMEOUT)
        except TimeoutError:
            line = None
        except asyncio.CancelledError:
            self.close()
            raise
        return self._pid_in(line)

    def _pid_in(self, line: bytes | None) -> int:
        if line is None:
            self.close()
            raise self._starter.failed()
        answer = msgspec.json.decode(line)
        if "refused" in answer:
            self.close()
            raise ZygoteError(answer["refused"])
        self.pid = answer["pid"]
        return self.pid

    async def ended(self) -> Exit | None:
        """Wait for the end of a started process; ``None`` when the zygote has died, and the process with it."""
        line = await self.line()
        return msgspec.json.decode(line, type=Exit) if line else None

    def fileno(self) -> int:
        """Return the descriptor that can be read when the next message has come."""
        return self._connection.fileno()

    def await_pid(self) -> int:
        """Wait for the process id, as `started` does, without an event loop; raises `ZygoteError`."""
        return self._pid_in(self.next_line(START_TIMEOUT))

    def await_exit(self) -> Exit | None:
        """Wait for the end of a started process, as `ended` does."""
        line = self.next_line(START_TIMEOUT)
        return msgspec.json.decode(line, type=Exit) if line else None

    def next_line(self, seconds: float) -> bytes | None:
        """Wait for the next message; ``None`` at the end of the connection, or where none comes in time."""
        limit = time.monotonic() + seconds
        while b"\n" not in self._received:
            poll = select.poll()
            poll.register(self._connection, select.POLLIN)
            if not poll.poll(max(0.0, limit - time.monotonic()) * 1000):
                return None
            try:
                data = self._connection.recv(4096)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def signal(self, number: int) -> None:
        """Signal the process and its group, if it still runs."""
        with suppress(OSError):  # it has ended
            self._connection.send(bytes([number]))

    def close(self) -> None:
        self._connection.close()

    async def line(self) -> bytes | None:
        """Wait for the next message; ``None`` at the end of the connection."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._received:
            try:
                data = await loop.sock_recv(self._connection, 4096)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line


@contextmanager
def _refusals() -> Generator[None]:
    """Turn what the machine has too little of into a `ZygoteError`; nothing keeps others from trying again."""
    try:
        yield
    except OSError as error:
        if is_short_of_something(error):
            raise ZygoteError(describe(error)) from error
        raise


def tail(path: str, size: int = 4000) -> str:
    """Return the last lines of a log, whole ones if there are any, or nothing where there is none."""
    try:
        with open(path, "rb") as file:
            begin = max(0, os.path.getsize(path) - size)
            file.seek(begin)
            data = file.read()
    except FileNotFoundError:
        return ""
    # half a line may begin with half a secret, which nothing would redact
    return ((begin and data.partition(b"\n")[2]) or data).decode(errors="replace").strip()


def last_words(log: str, size: int = 4000) -> str:
    """Return why a process of ours ended: what the machine refused it, else the last lines of its log."""
    text = tail(log, size)
    refused = _REFUSED.findall(text)
    return str(refused[-1]) if refused else text


def _asked(starter: Starter, connection: socket.socket, message: dict[str, Any], *outputs: int) -> Process:
    """Send a request, and the descriptors with it."""
    connection.settimeout(START_TIMEOUT)
    frame = _framed(message)
    descriptor = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", outputs))]
    try:
        connection.sendall(frame[connection.sendmsg([frame], descriptor) :])
    except OSError as error:
        connection.close()
        raise starter.failed() from error
    connection.setblocking(False)
    return Process(starter, connection)


def _end(path: str) -> None:
    connection = _connected(path)
    if connection:
        with connection, suppress(OSError):  # it has just ended
            connection.sendall(_framed({"end": True}))


def _connected(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _framed(message: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(message)
    return struct.pack("!I", len(body)) + body
