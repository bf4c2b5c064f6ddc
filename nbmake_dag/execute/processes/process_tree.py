"""What a process and all below it use: memory, processor, I/O."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

_PAGE = os.sysconf("SC_PAGE_SIZE")


def total_memory() -> int:
    """Return the bytes that this machine has."""
    return _PAGE * os.sysconf("SC_PHYS_PAGES")


def tree_rss(pid: int) -> int:
    """Add up the resident bytes of a process and its descendants; 0 where /proc does not have it."""
    total = 0
    for each in _tree(pid):
        with suppress(OSError), open(f"/proc/{each}/statm", "rb") as file:
            total += int(file.read().split()[1]) * _PAGE
    return total


def tree_activity(pid: int) -> int:
    """Return a number that changes when any of them uses the processor, reads, writes, starts or ends."""
    total = 0
    for each in _tree(pid):
        with suppress(OSError), open(f"/proc/{each}/stat", "rb") as file:
            user, system = file.read().rpartition(b")")[2].split()[11:13]
            total += int(user) + int(system) + each
        with suppress(OSError), open(f"/proc/{each}/io", "rb") as file:
            total += sum(int(line.split()[1]) for line in file)
    return total


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children = file.read().split()
                for child in children:
                    yield from _tree(int(child))
