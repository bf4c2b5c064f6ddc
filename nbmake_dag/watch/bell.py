"""A bell that other threads ring when a file may have changed."""

from __future__ import annotations

import contextlib
import os
import threading
import time

from nbmake_dag.watch.burst import Burst


class Bell:
    """Rung by any thread, heard by one: readable from the first ring of a burst until that is noted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._burst: Burst | None = None
        self._hear, self._ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def ring(self) -> None:
        now = time.monotonic()
        with self._lock:
            if self._burst is None:
                self._burst = Burst(first=now, last=now)
                os.write(self._ring, b"!")
            else:
                self._burst = self._burst.and_at(now)

    def fileno(self) -> int:
        return self._hear

    def due(self) -> float | None:
        """Return when the present burst is over by the monotonic clock, ``None`` without one."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._hear, 1)
        with self._lock:
            return self._burst.due if self._burst else None

    def is_over(self) -> bool:
        """Return whether a burst is over; it is then forgotten."""
        due = self.due()
        if due is None or due > time.monotonic():
            return False
        with self._lock:
            self._burst = None
        return True

    def close(self) -> None:
        os.close(self._hear)
        os.close(self._ring)
