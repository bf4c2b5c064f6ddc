"""Events of the file system, from watchdog: each only triggers a check.

Only folders that matter are watched, each by itself: what is written below ``.nbdag``, ``.git`` or a folder of
outputs triggers nothing. Nor does reading, because a check of files must not trigger a check.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

_KINDS: list[type[FileSystemEvent]] = [
    FileModifiedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileClosedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]
MOST_FOLDERS = 500
"""watchdog takes a thread for each."""


class TooManyFoldersError(OSError):
    """More folders than are watched one by one."""


class Watcher(FileSystemEventHandler):
    """Calls ``ring``, in a thread of its own, when something happens in one of the watched folders.

    ``is_ours`` returns whether a change of a path is our own.
    """

    def __init__(self, ring: Callable[[], None], is_ours: Callable[[str], bool]) -> None:
        self._ring = ring
        self._is_ours = is_ours
        self._watched: dict[str, tuple[int, ObservedWatch]] = {}
        self._gone: set[str] = set()
        self._lost = _LostEvents(ring)
        self._observer = Observer()
        self._observer.start()

    def watch(self, folders: Iterable[str]) -> bool:
        """Watch these folders and no others; return whether there is one among them that was not watched before.

        Raises `OSError` where the system does not allow so many.
        """
        wanted = {folder: os.stat(folder).st_ino for folder in folders}
        if len(wanted) > MOST_FOLDERS:
            raise TooManyFoldersError(0, f"{len(wanted)} folders are too many to watch")
        for folder, (inode, watch) in list(self._watched.items()):
            if wanted.get(folder) != inode or folder in self._gone:
                del self._watched[folder]
                self._gone.discard(folder)
                self._observer.unschedule(watch)
        new = wanted.keys() - self._watched.keys()
        for folder in new:
            watch = self._observer.schedule(self, folder, event_filter=_KINDS)
            self._watched[folder] = wanted[folder], watch
        return bool(new)

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, (DirDeletedEvent, DirMovedEvent)) and paths[0] in self._watched:
            self._gone.add(paths[0])
        if not all(self._is_ours(path) for path in paths):
            self._ring()

    def close(self) -> None:
        self._observer.stop()
        self._observer.join()
        # it hears also what an emitter says of its own end
        self._lost.close()


class _LostEvents(logging.Handler):
    """Detect lost events, which watchdog reports only to its log."""

    _LOG = logging.getLogger("watchdog")

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._ring = ring
        self._LOG.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - whatever it says
        self._ring()

    def close(self) -> None:
        self._LOG.removeHandler(self)
        super().close()
