"""Folders that are removed at their end, or by the next process that makes one beside them.

A folder that a killed process left is recognised by its lock, which no process holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager

_LOCK = "lock"


@contextmanager
def private_folder(base: str) -> Generator[str]:
    """Make a folder below ``base``, and remove those that killed processes left there."""
    os.makedirs(base, mode=0o700, exist_ok=True)
    for name in os.listdir(base):
        _remove_stale(os.path.join(base, name))
    path = os.path.join(base, os.urandom(8).hex())
    os.mkdir(path, 0o700)
    lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _remove_stale(path: str) -> None:
    try:
        lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return  # made a moment ago, or being removed
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)
