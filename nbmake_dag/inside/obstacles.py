"""Parts of a process that do not survive a fork: threads, children, sockets, devices, open files for writing.

Linux only: it reads ``/proc``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress

from nbmake_dag.inside.given import given

_HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_HARMLESS_INODES = ("anon_inode:[eventfd]", "anon_inode:[eventpoll]")

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Obstacles:
    """Compare this process with its state when this was made: what it had then belongs to its kernel."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._native = native_threads()
        self._links = {link for _, link in open_files()}
        self._names = {_socket_name(number) for number, link in open_files() if link.startswith("socket:")}
        self._shared = set(_shared_memory())

    def found(self, ours: int) -> str:
        """Return what keeps the process from being resumed in a fork, except the descriptor ``ours``."""
        return next(self._all(ours), "")

    def found_after_fork(self) -> str:
        """Return the threads of compiled code: libraries that allow for a fork have just ended theirs."""
        more = native_threads() - self._native
        return f"{more} thread{'' if more == 1 else 's'} of compiled code" if more > 0 else ""

    def _all(self, ours: int) -> Iterator[str]:
        for thread in set(threading.enumerate()) - self._threads:
            yield f"the thread {thread.name!r}"
        if any(map(any, map(signal.getitimer, _TIMERS))):
            yield "a timer that runs (signal.setitimer, signal.alarm)"
        for pid in _children():
            yield f"the child process {pid} ({_command(pid)})"
        log = os.path.realpath(given("NBDAG_LOG"))
        for number, link in open_files():
            if number != ours and link not in self._links and link != log:
                yield from self._of_file(number, link)
        if set(_shared_memory()) - self._shared:
            yield "memory that is shared with other processes"

    def _of_file(self, number: int, link: str) -> Iterator[str]:
        if link.startswith("socket:"):
            if _socket_name(number) not in self._names:
                yield f"an open socket{_peer(number)}"
        elif link.startswith("anon_inode:"):
            if link not in _HARMLESS_INODES:
                yield f"an open descriptor of {link.removeprefix('anon_inode:')}"
        elif link.startswith("pipe:"):
            yield "an open pipe"
        else:
            yield from _of_path(number, link)


def native_threads() -> int:
    """Count the threads of this process, those of compiled code among them."""
    return len(os.listdir("/proc/self/task"))


def open_files() -> Iterator[tuple[int, str]]:
    """Yield each open descriptor, and what it is open on."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # that of the listing itself has been closed
            yield int(name), os.readlink(f"/proc/self/fd/{name}")


def separate_files() -> None:
    """Give files that are open for reading positions of their own, where they share them with another process."""
    for number, _ in list(open_files()):
        if stat.S_ISREG(os.fstat(number).st_mode) and not _is_writable(number):
            copy = os.open(f"/proc/self/fd/{number}", os.O_RDONLY | os.O_CLOEXEC)
            os.lseek(copy, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
            os.dup2(copy, number, inheritable=os.get_inheritable(number))
            os.close(copy)


def _of_path(number: int, path: str) -> Iterator[str]:
    mode = os.fstat(number).st_mode
    if stat.S_ISCHR(mode) and path not in _HARMLESS_DEVICES:
        yield describe_device(path)
    elif stat.S_ISFIFO(mode):
        yield "an open pipe"
    elif stat.S_ISREG(mode) and _is_writable(number):
        yield f"{path}, open for writing"


def describe_device(path: str) -> str:
    """Describe an open device."""
    return f"a CUDA context ({path})" if os.path.basename(path).startswith("nvidia") else f"the open device {path}"


def _is_writable(number: int) -> bool:
    return fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


def _socket_name(number: int) -> object:
    """Return the address of our end: that of an accepted connection is its listener's."""
    copy = socket.socket(fileno=os.dup(number))
    try:
        return copy.getsockname() or number
    except OSError:
        return number
    finally:
        copy.close()


def _peer(number: int) -> str:
    copy = socket.socket(fileno=os.dup(number))
    try:
        peer = copy.getpeername()
    except OSError:
        return ""
    finally:
        copy.close()
    return f" to {peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""


def _children() -> Iterator[int]:
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children", "rb") as file:
                yield from map(int, file.read().split())
        except OSError:
            continue  # the thread has just ended


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return "ended"


def _shared_memory() -> Iterator[str]:
    """Yield what is mapped so that writing to it reaches others."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            place, permissions, _, _, inode, *path = line.split(maxsplit=5)
            if permissions[1] == "w" and permissions[3] == "s":
                yield f"{path[0].strip() if path else place} {inode}"
