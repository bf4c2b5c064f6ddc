"""One allocation of SLURM for one build: asked for with `sbatch`, followed with `squeue`.

The head of Ray is on the driver's machine, and offers no processors. So it is there before the job begins, and it
outlives a preemption: a job that is requeued joins again. The job, `nbmake_dag.execute.ray.slurm_job`, connects to
a `Switchboard` of this process and ends when it hears nothing more. The supervisor cancels it when the
driver ends, in whatever way (`gives_back` of its registration).
"""

from __future__ import annotations

import hmac
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from nbmake_dag.execute.processes.runtime_dir import MARKER
from nbmake_dag.execute.ray.kind import Allocation
from nbmake_dag.execute.ray.slurm_job import BEAT_EVERY_S, TOKEN, URL

_ANSWER_WITHIN_S = 60.0
"""How long a command of SLURM may take."""
_FIRST_LOOK_S, _LAST_LOOK_S = 1.0, 15.0
"""The time between two looks at the queue grows from one to the other."""
_JOIN_WITHIN_S = 600.0
_LEAST_SURE_S = 3.0
_TAIL = 20
_OVER = frozenset(
    [
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    ]
)
"""States of a job that does not come back; one that was preempted may."""
_WAITS = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED"})
_NOT_WANTED = ("SBATCH_ARRAY_INX", "SBATCH_DEPENDENCY", "SBATCH_TEST_ONLY", "SBATCH_WAIT")
"""Variables that `sbatch` reads as the options that nbdag has no use for."""
_UNREACHABLE = re.compile(r"contact slurm|timed out|refused|authentication", re.IGNORECASE)


class SlurmError(Exception):
    """SLURM gives no allocation. It is ``misused`` where it refuses what was asked for."""

    def __init__(self, what: str, *, misused: bool = False) -> None:
        super().__init__(what)
        self.misused = misused


class Switchboard:
    """Where the job calls: it says how many nodes it has and what they print, and hears where Ray's head is."""

    def __init__(self, address: str, token: str) -> None:
        self._socket = socket.create_server((address, 0))
        self._token = token
        self._head = ""
        self._has_head = threading.Event()
        self._lock = threading.Lock()
        self._calls = 0
        self.printed: deque[str] = deque(maxlen=_TAIL)
        self.nodes = 0
        self.changed = threading.Event()
        """Set when the job calls, or hangs up."""
        threading.Thread(target=self._answer, name="switchboard", daemon=True).start()

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    @property
    def connected(self) -> bool:
        return self._calls > 0

    def send_to(self, head: str) -> None:
        """Have the nodes join Ray's head, now that it is there."""
        self._head = head
        self._has_head.set()

    def _answer(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            try:
                connection.settimeout(_ANSWER_WITHIN_S)
                token, _, nodes = stream.readline(1000).decode("ascii", "replace").strip().partition(" ")
                if not hmac.compare_digest(token.encode(), self._token.encode()) or not nodes.isdecimal():
                    return
                connection.settimeout(None)
            except OSError:
                return
            self._note(1, int(nodes))
            threading.Thread(target=self._beat, args=(connection,), name="beat", daemon=True).start()
            try:
                for line in stream:
                    self.printed.append(line.decode("utf-8", "replace").rstrip())
            except OSError:
                pass
            self._note(-1, 0)

    def _beat(self, connection: socket.socket) -> None:
        """Let the job know that somebody is there, and where the head is."""
        try:
            while not self._has_head.wait(BEAT_EVERY_S):
                connection.sendall(b"\n")
            connection.sendall(f"{self._head}\n".encode())
            while True:
                time.sleep(BEAT_EVERY_S)
                connection.sendall(b"\n")
        except OSError:
            return

    def _note(self, calls: int, nodes: int) -> None:
        with self._lock:
            self._calls += calls
            self.nodes = nodes or self.nodes
        self.changed.set()


class Job:
    """The job in the queue."""

    def __init__(self, number: str, board: Switchboard, say: Callable[[str], None]) -> None:
        self.number = number
        self._board = board
        self._say = say
        self._said = ""
        self._look_s = _FIRST_LOOK_S
        self._over_since: float | None = None

    def await_nodes(self, joined: Callable[[], int]) -> None:
        """Return when the nodes of the allocation have joined Ray; raises `SlurmError`."""
        called = 0.0
        while True:
            if self._is_connected():
                called = called or time.monotonic()
                there, wanted = joined(), self._board.nodes
                self._said = ""
                if there >= wanted:
                    self._say(f"SLURM job {self.number} runs: {_nodes(wanted)} joined")
                    return
                if time.monotonic() - called < _JOIN_WITHIN_S:
                    continue
                if not there:
                    raise SlurmError(self._with_output(f"no node of the SLURM job {self.number} joined"))
                self._say(f"warning: {there} of {_nodes(wanted)} of the SLURM job {self.number} joined")
                return
            called = 0.0
            self._look()

    def follow(self) -> None:
        """Look after the job, which may wait in the queue again; raises `SlurmError` when it is over."""
        while True:
            if not self._is_connected():
                self._look()
            elif self._said:
                self._said = ""
                self._say(f"SLURM job {self.number} runs again")

    def _is_connected(self) -> bool:
        """Wait a moment, or longer the longer the job is not heard; return whether it is heard."""
        self._board.changed.wait(_FIRST_LOOK_S if self._board.connected else self._look_s)
        self._board.changed.clear()
        self._look_s = _FIRST_LOOK_S if self._board.connected else min(2 * self._look_s, _LAST_LOOK_S)
        return self._board.connected

    def _look(self) -> None:
        """Report the state of the job where it has changed; raises `SlurmError` if it is over."""
        found = _state(self.number)
        if found is None:
            return
        state, reason = found
        if state in _OVER:
            now = time.monotonic()
            # one that was preempted has this state for a moment, before it waits again
            self._over_since = self._over_since or now
            if now - self._over_since >= _LEAST_SURE_S or state != "PREEMPTED":
                raise SlurmError(self._with_output(f"the SLURM job {self.number} ended: {state.lower()}"))
            return
        self._over_since = None
        text = f"{state.lower()} ({reason})" if reason not in {"None", ""} else state.lower()
        if state in _WAITS and text != self._said:
            self._said = text
            self._say(f"SLURM job {self.number} waits: {text}; Ctrl-C cancels it")

    def _with_output(self, what: str) -> str:
        return "\n  ".join((what, *self._board.printed))


def submit(wanted: Allocation, name: str, board: Switchboard, token: str, say: Callable[[str], None]) -> Job:
    """Ask for the allocation, as a job with a name; raises `SlurmError` with what `sbatch` says."""
    script = (
        "#!/bin/sh\nexec " + shlex.join([sys.executable, "-P", "-m", "nbmake_dag.execute.ray.slurm_job"]) + "\n"
    )
    argv = [
        "sbatch",
        *wanted.options,
        "--parsable",
        f"--job-name={name}",
        f"--nodes={wanted.nodes}",
        "--ntasks-per-node=1",
        "--no-kill",
        "--requeue",
        "--export=ALL",
        "--chdir=/",
        "--output=/dev/null",
    ]
    left_out = {MARKER, *_NOT_WANTED, *wanted.withheld}
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    env |= {URL: board.address, TOKEN: token}
    try:
        done = subprocess.run(
            argv, input=script, env=env, capture_output=True, text=True, timeout=_ANSWER_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"sbatch: {error}") from error
    if done.returncode:
        said = done.stderr.strip() or f"it exited with {done.returncode}"
        raise SlurmError(f"sbatch gives no allocation: {said}", misused=not _UNREACHABLE.search(said))
    number = done.stdout.strip().rpartition("\n")[2].partition(";")[0]
    say(f"SLURM job {number}: {_nodes(wanted.nodes)} asked for")
    return Job(number, board, say)


def address_towards_nodes(options: Sequence[str]) -> str:
    """Return this machine's address in the network of the nodes: a login node may have several."""
    partition = [option for option in options if option.startswith("--partition=")]
    listed = _answer_of("sinfo", "--noheader", "--format=%o", *partition) or ""
    for name in (*listed.split()[:_TAIL], socket.gethostname()):
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((name, 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return "127.0.0.1"


def _state(number: str) -> tuple[str, str] | None:
    """Return the state of a job and the reason for it; ``None`` if SLURM does not answer."""
    answer = _answer_of("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T|%r")
    if answer is None:
        return None
    state, _, reason = answer.strip().partition("|")
    return (state, reason) if state else ("COMPLETED", "")


def _answer_of(*argv: str) -> str | None:
    """Return what a command prints: nothing of a job that is no longer known, ``None`` if it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_ANSWER_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return "" if "Invalid job id" in done.stderr else None
    return done.stdout


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
