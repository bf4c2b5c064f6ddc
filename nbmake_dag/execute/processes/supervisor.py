"""The driver's end of its supervisor: starting it, and having it start and signal processes."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence

from nbmake_dag.execute.processes import supervisor_process as script
from nbmake_dag.execute.processes.runtime_dir import MARKER, RuntimeDir, end_marked

ExitStatus = int
"""An exit code, or a negative signal number."""

SUPERVISOR_GONE: ExitStatus = -int(signal.SIGKILL)
"""What is reported of children whose supervisor died: they died with it."""


class Supervisor:
    """A process of its own that outlives nothing: when the driver ends, so does all that was started here."""

    def __init__(self, runtime: RuntimeDir, connection: socket.socket, pid: int | None) -> None:
        self.pid = pid
        self.runtime = runtime
        self._connection = connection
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._on_exit: dict[int, Callable[[ExitStatus], None]] = {}
        self._closed = False
        self._gone = False
        threading.Thread(target=self._read, name="supervisor", daemon=True).start()

    @classmethod
    def start(cls, runtime: RuntimeDir, *, detached: bool = False) -> Supervisor:
        """Start it and return at once; it holds none of this process's standard streams.

        A ``detached`` one is not a child of this process, which may have to kill its children when it ends.
        """
        ours, theirs = socket.socketpair()
        log = runtime.join("supervisor.log")
        with theirs:
            pid = os.posix_spawn(
                sys.executable,
                [
                    sys.executable,
                    "-I",
                    "-S",
                    script.__file__,
                    runtime.path,
                    *([script.DETACHED] if detached else []),
                ],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=(),
            )
        if detached:
            os.waitpid(pid, 0)
        return cls(runtime, ours, None if detached else pid)

    @property
    def gone(self) -> bool:
        """Whether it has died, and all that it started with it."""
        return self._gone

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        log: str,
        descriptors: Sequence[int] = (),
        on_exit: Callable[[ExitStatus], None] = lambda _: None,
    ) -> int:
        """Have a process started, and return the number by which it is known here.

        It leads a session of its own, reads nothing, writes to the file ``log``, and finds ``descriptors`` as 3,
        4, and so on. A program that cannot be started exits with 127 and writes the reason to ``log``. ``on_exit``
        is called once, in another thread.
        """
        number = next(self._numbers)
        with self._lock:
            gone = self._gone
            if not gone:
                self._on_exit[number] = on_exit
        if gone:
            on_exit(SUPERVISOR_GONE)
            return number
        self._order(
            {
                "spawn": number,
                "argv": list(argv),
                "env": {**env, MARKER: self.runtime.path},
                "cwd": cwd,
                "log": log,
            },
            tuple(descriptors),
        )
        return number

    def kill(self, number: int, signal_number: int = signal.SIGKILL) -> None:
        """Signal a child's process group, if it is still there."""
        self._order({"kill": number, "signal": int(signal_number)})

    def clear(self, folder: str) -> None:
        """Have a folder of this build removed at the driver's end, also one that nobody foresees."""
        self._order({"clear": [folder]})

    def run_last(self, argv: Sequence[str]) -> None:
        """Have a command run once all that was started here is dead, however the driver ends."""
        self._order({"last": list(argv)})

    def close(self) -> None:
        """Return at once; the supervisor then ends all that it started, and removes the runtime folder."""
        with self._lock:
            self._closed = True
            if not self._gone:
                self._connection.shutdown(socket.SHUT_WR)
        self.runtime.release()

    def _order(self, order: dict[str, object], descriptors: tuple[int, ...] = ()) -> None:
        try:
            with self._sending:
                script.send(self._connection, order, descriptors)
        except OSError:
            # its death is seen by the reader, which reports the children's
            return

    def _read(self) -> None:
        try:
            while received := script.receive(self._connection):
                report = received[0]
                with self._lock:
                    on_exit = self._on_exit.pop(report["exited"])
                on_exit(report["status"])
        except (OSError, EOFError):
            pass
        with self._lock:
            self._gone = True
            orphans = list(self._on_exit.values())
            self._on_exit.clear()
            self._connection.close()
            unexpected = not self._closed
        if unexpected:
            end_marked(self.runtime.path)
        for on_exit in orphans:
            on_exit(SUPERVISOR_GONE)
        if self.pid is not None:
            os.waitpid(self.pid, 0)
