"""How long a command takes, and how much processor time it and all that it started use."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LEFT_AFTER_S = 15.0
"""What still runs so long after its command has ended is a daemon."""


class CommandError(Exception):
    """A command that was to be measured failed. The message is the end of what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of a command: ``wall_s`` until it ended, ``cpu_s`` of its whole tree, until the last of it ended."""

    wall_s: float
    cpu_s: float
    peak_mb: float = 0.0
    """The memory of the command itself, at most."""
    left: tuple[str, ...] = ()
    """The command lines of daemons; they were killed."""


def adopt_orphans() -> None:
    """Become the parent of every process below whose own parent ends, so that none goes unnoticed."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this process cannot adopt orphans")


def measured(argv: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Sample:
    """Run a command to its end and the end of all that it started; raises `CommandError` if it fails."""
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            argv, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        cpu_s = 0.0
        while True:
            pid, status, usage = os.wait4(-1, 0)
            cpu_s += usage.ru_utime + usage.ru_stime
            if pid == process.pid:
                break
        wall_s = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s += _wait_for_orphans()
    left = tuple(_end(children()))
    if process.returncode != 0:
        raise CommandError(f"{' '.join(argv)} ended with {process.returncode}:\n{log.read_text()[-4000:]}")
    return Sample(wall_s=wall_s, cpu_s=cpu_s, peak_mb=usage.ru_maxrss / 1000, left=left)


def children() -> list[int]:
    """Return the processes whose parent this is."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _wait_for_orphans() -> float:
    """Wait for what a command left, and return its processor time."""
    deadline = time.monotonic() + _LEFT_AFTER_S
    cpu_s = 0.0
    while time.monotonic() < deadline:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            time.sleep(0.005)
        else:
            cpu_s += usage.ru_utime + usage.ru_stime
    return cpu_s


def _end(pids: Sequence[int]) -> Iterator[str]:
    for pid in pids:
        yield Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
