"""One build at a time: a lock that the operating system releases when its holder ends, even if it is killed."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress

from nbmake_dag.errors import InfrastructureError, LockedError
from nbmake_dag.execute.output_backup import Search, recover
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import put_aside

_POLL_S = 0.1


class BuildLock:
    """The held lock of a project."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    @property
    def is_in_place(self) -> bool:
        """Whether its file is still the one that another build would try to lock."""
        with suppress(OSError):
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        return False

    def check(self) -> None:
        """Raise `InfrastructureError` if ``.nbdag`` was removed or replaced: another build may run here by now."""
        if not self.is_in_place:
            raise InfrastructureError(
                "the folder .nbdag was removed or replaced while the build ran",
                (("lock", self._path),),
                "build again; what had not ended runs once more",
            )


@contextmanager
def build_lock(project: Project, *, wait: bool, waiting: Callable[[str], None]) -> Generator[BuildLock]:
    """Hold the project's lock, and finish what a killed build left; raises `LockedError` without ``wait``.

    ``waiting`` is called with a message about who holds it, and about what was recovered. The file names the
    holder, for what people are told only.
    """
    path = os.path.join(project.state, "lock")
    descriptor = _acquire(project, path, wait=wait, waiting=waiting)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {time.strftime('%H:%M:%S')}\n".encode(), 0)
        for left in recover(project.state, project.root, lambda text: waiting(f"warning: {text}"), _search):
            waiting(f"an interrupted build left {project.relative(left)}")
        yield BuildLock(descriptor, path)
    finally:
        # a process that another thread is starting has the descriptor too, until it is another program
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _search(names: Collection[str]) -> Search:
    from nbmake_dag.execute.redaction import search_for  # noqa: PLC0415 - only after a build that was killed

    return search_for(names, os.environ)


def _acquire(project: Project, path: str, *, wait: bool, waiting: Callable[[str], None]) -> int:
    """Lock the file that is at the path once it is locked; return its descriptor."""
    said: set[bool] = set()
    while True:
        project.make_state()
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            put_aside(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if _try(descriptor):
            if BuildLock(descriptor, path).is_in_place:
                return descriptor
            os.close(descriptor)
            continue
        _refuse_within(project)
        holder, is_stopped = _holder(os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip())
        os.close(descriptor)
        if not wait:
            raise LockedError(
                f"another build runs here ({holder})",
                (("project", project.root),),
                "leave out --no-wait to wait for it",
            )
        if not said or is_stopped not in said:
            waiting(
                f"another build runs here ({holder}): waiting; Ctrl-C cancels,"
                " `nbdag build --no-wait` does not wait"
            )
            said |= {False, is_stopped}
        time.sleep(_POLL_S)


def _holder(text: str) -> tuple[str, bool]:
    """Describe who holds the lock from its file, and say whether that is stopped, as Ctrl-Z does."""
    pid, _, since = text.partition(" ")
    if not pid.isdecimal():
        return "just begun", False
    holder = f"process {pid}, since {since}"
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        if file.read().rpartition(b") ")[2][:1] == b"T":
            return f"{holder}, which is stopped: `fg` or `kill -CONT {pid}` lets it go on", True
    return holder, False


def _refuse_within(project: Project) -> None:
    """Raise `LockedError` in a task of the build that holds the lock: it would wait for itself."""
    task, root = os.environ.get("NBDAG_TASK"), os.environ.get("NBDAG_ROOT", "")
    if task and os.path.realpath(root) == os.path.realpath(project.root):
        raise LockedError(
            f"{task} is a task of this pipeline, and cannot build it: its own build would wait for itself",
            (("project", project.root),),
            "declare what the task needs as its inputs, or build from outside the pipeline",
        )


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
