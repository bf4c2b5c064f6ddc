"""The short private folder of one build, for sockets, logs and all that must not outlive it.

A build holds a shared lock on its folder's ``lock`` file, and so does its supervisor; the kernel drops both when
they die. So a folder whose lock can be taken exclusively is stale: the next build ends the processes that carry
its name in their environment, and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import time
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import nbmake_dag
from nbmake_dag.errors import InfrastructureError, describe

MARKER = "NBDAG_RUNTIME"
"""The environment variable that marks every process of a build."""

LOCK = "lock"
_LONGEST_BASE = 28
"""Characters: Ray's socket paths add 66 to those of the folder, and AF_UNIX takes 103 (macOS) or 107."""

_FORGOTTEN_AFTER_S = 3600.0
"""The age after which a folder without a lock will not be locked any more."""


_ANOTHER_PLACE = "set TMPDIR to a folder that you may write to"


def folder_to_import_from(runtime: str) -> str:
    """Make a folder that holds nbdag and nothing else, for Pythons that do not have it."""
    folder = os.path.join(runtime, "path")
    os.makedirs(folder, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(os.path.dirname(nbmake_dag.__file__), os.path.join(folder, "nbmake_dag"))
    return folder


class RuntimeDir:
    """A folder that is this build's alone while the object lives."""

    def __init__(self, path: str, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls) -> RuntimeDir:
        """Make a folder for this build, and clear what dead builds of this user left."""
        base = _base()
        _sweep(base)
        while True:
            path = os.path.join(base, os.urandom(3).hex())
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                lock = _make(path)
                if os.path.exists(os.path.join(path, LOCK)):
                    return cls(path, lock)
                # another build took it for stale before it was locked
                os.close(lock)

    def join(self, name: str) -> str:
        return os.path.join(self.path, name)

    def release(self) -> None:
        os.close(self._lock)


def _make(path: str) -> int:
    """Make a folder and mark it as in use."""
    try:
        os.mkdir(path, 0o700)
        return hold(path)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        raise InfrastructureError(
            f"there is no room for the sockets of a build: {describe(error)}", (), _ANOTHER_PLACE
        ) from error


def hold(path: str) -> int:
    """Mark a folder as in use while the returned descriptor is open."""
    lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def end_marked(path: str, task: str | None = None) -> None:
    """Kill what was started for the build whose folder is ``path``, or for one task of it, as /proc shows it."""
    marks = {f"{MARKER}={path}".encode()}
    if task is not None:
        marks.add(b"NBDAG_TASK=" + os.fsencode(task))
    for process in _marked(marks):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


def end_holders(path: str, pipes: Iterable[int]) -> None:
    """Kill what was started for the build whose folder is ``path`` and holds one of these pipes.

    Of a fork /proc shows the environment of the process that forked it, which names no task.
    """
    held = {f"pipe:[{os.fstat(pipe).st_ino}]" for pipe in pipes}
    for process in _marked({f"{MARKER}={path}".encode()}):
        with contextlib.suppress(OSError), os.scandir(f"/proc/{process}/fd") as descriptors:
            if any(os.readlink(descriptor.path) in held for descriptor in descriptors):
                os.kill(process, signal.SIGKILL)


def _marked(marks: AbstractSet[bytes]) -> Iterator[int]:
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as file:
                    variables = set(file.read().split(b"\0"))
                if marks <= variables:
                    yield int(name)


def _base() -> str:
    user = os.getuid()
    candidates = [f"/tmp/nbdag-{user}"]  # noqa: S108  # checked below: ours, and nobody else's
    if temporary := os.environ.get("TMPDIR"):
        candidates.insert(0, os.path.join(temporary, f"nbdag-{user}"))
    if private := os.environ.get("XDG_RUNTIME_DIR"):
        candidates.insert(0, os.path.join(private, "nbdag"))
    for candidate in candidates:
        if len(candidate) <= _LONGEST_BASE and _is_private(candidate):
            return candidate
    raise InfrastructureError(
        "there is no folder for the sockets of a build: it must be yours alone, writable, and have a short path",
        tuple(("tried", candidate) for candidate in candidates),
        _ANOTHER_PLACE,
    )


def _is_private(path: str) -> bool:
    """Make the folder if needed; return whether it is private to this user, writable, and not a link."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    found = os.lstat(path)
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not found.st_mode & 0o077
        and os.access(path, os.W_OK | os.X_OK)
    )


def _sweep(base: str) -> None:
    for name in os.listdir(base):
        path = os.path.join(base, name)
        try:
            lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            # made a moment ago and not yet locked, or being removed; or its build was killed just then
            _remove_forgotten(path)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            end_marked(path)
            import shutil  # noqa: PLC0415  # only a build after a crash pays for it

            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _remove_forgotten(path: str) -> None:
    with contextlib.suppress(OSError):
        if time.time() - os.stat(path).st_mtime > _FORGOTTEN_AFTER_S:
            import shutil  # noqa: PLC0415  # likewise

            shutil.rmtree(path)
