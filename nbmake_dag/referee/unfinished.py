"""What an interrupted replay has executed: notes of each trial, with which the same replay goes on.

The folder of the notes is locked while they are used: of two like replays at once the second makes no notes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import msgspec

_OLDEST_S = 86_400.0


class Notes(msgspec.Struct):
    """The notes of one replay: a file for each of its trials, in their order."""

    folder: str = ""
    _trials: int = 0

    @property
    def are_there(self) -> bool:
        """Whether there is anything to go on with."""
        with suppress(OSError):
            return any(entry.stat().st_size for entry in os.scandir(self.folder))
        return False

    def of_next_trial(self) -> str:
        """Return the path of the next file, empty where nothing is noted."""
        self._trials += 1
        return os.path.join(self.folder, f"{self._trials}.jsonl") if self.folder else ""


@contextmanager
def unfinished(folder: str, question: object) -> Generator[Notes]:
    """Yield the notes of a question, below a folder; they go when it was answered, or after a day."""
    place = os.path.join(folder, hashlib.sha256(repr(question).encode()).hexdigest()[:16])
    os.makedirs(place, exist_ok=True)
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield Notes()
            return
        for entry in list(os.scandir(place)):
            if entry.stat().st_mtime < time.time() - _OLDEST_S:
                os.unlink(entry.path)
        yield Notes(place)
        shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(descriptor)
