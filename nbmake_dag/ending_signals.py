"""Handle the signals that end a process, for the duration of a block: of one build, or of `watch`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which the terminal or the system ends a process."""


@contextmanager
def handling(handle: Callable[[int], None]) -> Generator[None]:
    """Call ``handle`` with the number of each signal that asks for an end; afterwards all is as before.

    In another thread than the main one nothing is handled: Python handles signals there alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda number, _: handle(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
