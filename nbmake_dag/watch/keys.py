"""Single keys from the terminal that a command runs in."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
import tty
from collections.abc import Generator
from enum import Enum
from typing import TextIO


class Key(Enum):
    """The action that a key requests."""

    REBUILD = "\n"
    REBUILD_ALL = "r"
    EXPLAIN = "e"
    QUIT = "q"


HELP = "Enter rebuilds what is stale, r everything; e explains the last build; q quits"


class Keys:
    """The keys pressed. Without a terminal there are none."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What is readable when a key was pressed."""
        return () if self._descriptor is None else (self._descriptor,)

    def pressed(self) -> list[Key]:
        """Return the keys that mean something; call it when there is something to read."""
        if self._descriptor is None:
            return []
        data = os.read(self._descriptor, 64)
        if not data:
            # the terminal is gone
            self._descriptor = None
        meanings = {key.value: key for key in Key}
        return [meanings[char] for char in data.decode("ascii", "replace").replace("\r", "\n") if char in meanings]


@contextlib.contextmanager
def terminal_keys(stream: TextIO = sys.stdin) -> Generator[Keys]:
    """Read keys as they are pressed, unseen, if ``stream`` is a terminal and this is its foreground process."""
    if not _is_ours(stream):
        yield Keys(None)
        return
    descriptor = stream.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _is_ours(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except OSError:
        # a terminal, but of another session
        return False
