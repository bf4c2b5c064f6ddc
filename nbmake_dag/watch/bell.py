"""A bell that other threads ring when a file may have changed, and the burst of changes that it reports."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import msgspec
from msgspec.structs import replace

CAP_S = 60.0
"""A burst that goes on is acted upon after this: perhaps a file that matters is written all the time."""
_LONGEST_QUIET_S = 2.0
_MARGIN = 1.5
"""Times the pause that was too short."""


class Quiet:
    """How long no file may change until a burst is over: editors write a file in several steps, git many files.

    Who types while the editor saves interrupts one build after another. So it grows with each build that was
    interrupted, and is as short as before after one without a change. ``least`` in seconds, as all here.
    """

    def __init__(self, least: float) -> None:
        self.least = least
        self._learned = 0.0

    @property
    def seconds(self) -> float:
        return max(self.least, self._learned)

    def interrupted(self, pause: float) -> None:
        """Note that a build was pointless: after ``pause`` seconds without a change there was one."""
        self._learned = min(_LONGEST_QUIET_S, max(2 * self.seconds, _MARGIN * pause))

    def undisturbed(self) -> None:
        """Note that nothing changed during a build."""
        self._learned = 0.0


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """Moments in seconds, by any one clock."""

    first: float
    last: float

    def due(self, quiet: float) -> float:
        """Return when it is over, unless another change comes before."""
        return min(self.last + quiet, self.first + CAP_S)

    def and_at(self, now: float) -> Burst:
        return replace(self, last=now)


class Bell:
    """Rung by any thread, heard by one: readable from the first ring of a burst until that is noted."""

    def __init__(self, quiet: Quiet) -> None:
        self._lock = threading.Lock()
        self._quiet = quiet
        self._burst: Burst | None = None
        self.last = 0.0
        """When it was rung last."""
        self._hear, self._ring = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def ring(self) -> None:
        now = self.last = time.monotonic()
        self._note(now)

    def remind(self) -> None:
        """Ring for a burst that is over, but was not acted upon."""
        self._note(0.0)

    def _note(self, now: float) -> None:
        with self._lock:
            if self._burst is None:
                self._burst = Burst(first=now, last=now)
                os.write(self._ring, b"!")
            elif now:
                self._burst = self._burst.and_at(now)

    def fileno(self) -> int:
        return self._hear

    def due(self) -> float | None:
        """Return when the present burst is over by the monotonic clock, ``None`` without one."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._hear, 1)
        with self._lock:
            return self._burst.due(self._quiet.seconds) if self._burst else None

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
