"""One build at a time in a repository: a lock that the kernel of the system releases, however its holder ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from nbmake_dag.errors import LockedError
from nbmake_dag.observe.project import Project

_POLL_S = 0.1


@contextmanager
def build_lock(project: Project, *, wait: bool, waiting: Callable[[str], None]) -> Generator[None]:
    """Hold the project's lock; ``waiting`` is told once who has it. Raises `LockedError` without ``wait``.

    The file's text says who holds the lock; it is only read by people.
    """
    project.make_state()
    descriptor = os.open(os.path.join(project.state, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        said = False
        while not _try(descriptor):
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "just begun"
            if not wait:
                raise LockedError(
                    f"another build runs here ({holder})",
                    (("project", project.root),),
                    "leave out --no-wait to wait for it",
                )
            if not said:
                waiting(
                    f"another build runs here ({holder}): waiting; Ctrl-C ends the wait,"
                    " `nbdag build --no-wait` does not begin it"
                )
                said = True
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, since {time.strftime('%H:%M:%S')}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
