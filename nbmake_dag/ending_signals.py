"""Handle the signals that end a process, for the duration of a block: of one build, or of `watch`."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which the terminal or the system ends a process."""
_LOOK_S = 0.2
_PATIENCE_S = 5.0
"""For which a reader may pause once an end was asked for."""
_was_asked = threading.Event()
_handlers: list[Callable[[int], None]] = []
"""What is called, the innermost last."""


@contextmanager
def handling(handle: Callable[[int], None]) -> Generator[None]:
    """Call ``handle`` with the number of each signal that asks for an end; afterwards all is as before.

    In another thread than the main one nothing is handled: Python handles signals there alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    if not _handlers:
        # by a signal to an earlier build of this process
        _was_asked.clear()
    _handlers.append(handle)

    def note(number: int, _: object) -> None:
        _was_asked.set()
        handle(number)

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _handlers.pop()


def write_to_reader(descriptor: int, data: bytes) -> None:
    """Write all of ``data``, as slowly as it is read.

    A handled signal does not end a write that waits for its reader, so the write looks whether one came. Raises
    `OSError`: the reader is gone, or an end was asked for and it has read nothing for seconds.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        patience_s = _PATIENCE_S
        while not poll.poll(_LOOK_S * 1000):
            patience_s -= _LOOK_S if _was_asked.is_set() else 0.0
            if patience_s <= 0:
                raise BrokenPipeError(f"asked to end, and nobody reads {len(rest)} bytes")
        # what is writable takes that much without waiting
        rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
