"""Detect whether a file changed: by its size, times and inode, as far as they can be trusted.

A file that was written within the last two seconds is not at rest: within the resolution of its time stamps it
could be written once more without a trace, so nothing is concluded from them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from typing import TypeAlias

from nbmake_dag_cache.digest import Digest, digest_bytes, digest_descriptor

Stamp: TypeAlias = tuple[int, int, int, int]
"""Size in bytes, modification and change time in nanoseconds since the epoch, inode."""

_REST_NS = 2_000_000_000
_ATTEMPTS = 3


class UnstableFileError(OSError):
    """A file that is written again and again while it is hashed."""


def stamp_of(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def folder_stamp(path: str) -> Stamp | None:
    """Return what changes when something joins or leaves a folder, ``None`` where there is none."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None


def what_is_at(path: str) -> str | None:
    """Describe what a search at a place can find: names and kinds in a folder, or the bytes of a file.

    With its permissions; another folder is never the same. ``None`` where there is neither, or it cannot be read:
    then only stamps can show a change.
    """
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            return f"{status.st_mode:o} {hash_file(path)[1]}"
        with os.scandir(path) as entries:
            names = sorted(os.fsencode(f"{entry.name}\0{_kind(entry)}") for entry in entries)
    except (OSError, ValueError):
        return None
    listing = b"\0\0".join(names)
    return f"{status.st_mode:o} {status.st_ino} {digest_bytes(listing)}"


def hollow_links(folder: str) -> list[str]:
    """Return the paths of the links in a folder that lead to no file and no folder.

    They may some day, without a change of the folder.
    """
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_symlink() and _kind_there(entry) == "other"]
    except OSError:
        return []


def _kind(entry: os.DirEntry[str]) -> str:
    """Name the kind of an entry, and of a link where it leads."""
    there = _kind_there(entry)
    return f"{there} {os.readlink(entry.path)}" if entry.is_symlink() else there


def _kind_there(entry: os.DirEntry[str]) -> str:
    """Name the kind of what is at an entry, after links."""
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"
    except OSError:
        # links in a circle, or what may not be looked at
        return "other"


def is_at_rest(stamp: Stamp, now: int) -> bool:
    """Return whether a file's times were old enough at `now`, by the clock of its file system."""
    return max(stamp[1], stamp[2]) < now - _REST_NS


def hash_file(path: str) -> tuple[Stamp, Digest]:
    """Hash a file that does not change meanwhile; raises `OSError`, also for what is not a file."""
    for _ in range(_ATTEMPTS):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.EISDIR if stat.S_ISDIR(before.st_mode) else errno.EINVAL, "not a file", path)
            digest = digest_descriptor(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if stamp_of(before) == stamp_of(after):
            return stamp_of(after), digest
    raise UnstableFileError(errno.EBUSY, "it changes while it is read", path)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, without waiting for the reader of a FIFO, and without touching what a link leads to."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)


class FileClock:
    """The present by the clock of a file system, read from a file touched on it; at most 50 ms late."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read_at = float("-inf")
        self._now = 0

    def now(self) -> int:
        """Return nanoseconds since the epoch, or 0 where the file cannot be touched."""
        if time.monotonic() - self._read_at > 0.05:
            self._read_at = time.monotonic()
            with contextlib.suppress(OSError):
                if not stat.S_ISREG(os.lstat(self._path).st_mode):
                    os.rename(self._path, f"{self._path}.damaged")
            with contextlib.suppress(OSError), open(self._path, "ab", opener=_open_at_once) as file:
                os.utime(file.fileno())
                self._now = os.fstat(file.fileno()).st_mtime_ns
        return self._now
