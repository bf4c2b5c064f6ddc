"""Signals handled in one way for a while."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What the terminal or the system sends to have a process end."""


@contextmanager
def handling(handle: Callable[[int], None]) -> Generator[None]:
    """Call ``handle`` with the number of each signal that asks for an end; afterwards all is as before."""
    before = {number: signal.signal(number, lambda number, _: handle(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
