"""A cancellation request, passed from the reader of orders to the running attempt."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Cancellation:
    """Requested once, for good; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._grace = 0.0

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    @property
    def grace(self) -> float:
        """Seconds between the interrupt and the kill, once requested."""
        return self._grace

    def request(self, grace: float) -> None:
        """Ask; every callback is called once, in the caller's thread."""
        with self._lock:
            if self._event.is_set():
                return
            self._grace = grace
            self._event.set()
            callbacks = self._callbacks
        for callback in callbacks:
            callback()

    def on_request(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when it is requested; at once if it was."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()
