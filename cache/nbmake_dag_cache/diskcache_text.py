"""Indexes of texts in diskcache databases that can be thrown away; for one process, the driver.

Left to itself, diskcache unpickles what it finds, evicts what it likes and follows the file names in its rows.
None of that happens here: only texts go in and come out, all of them in the database itself, none is evicted, and
each carries a checksum, so that damage costs time and never gives a wrong answer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import Protocol, cast

from diskcache import Cache, Disk
from diskcache.core import MODE_RAW
from xxhash import xxh3_128_hexdigest

_PATIENCE = 2
"""Seconds to wait for another process that uses the same index."""

_REFUSALS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_HEX = 32


class TextCache(Protocol):
    """The part of a diskcache `Cache` that is used."""

    def get(self, key: str, /) -> object: ...
    def set(self, key: str, value: str, /) -> bool: ...
    def delete(self, key: str, /) -> bool: ...
    def transact(self) -> AbstractContextManager[None]: ...
    def close(self) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...


class NotTextError(OSError):
    """A value in an index, or one to be written there, is not text; diskcache takes it for a missing row."""


class TextDisk(Disk):  # type: ignore[misc]
    """Stores texts in the rows of the database: no pickle, no files, in either direction."""

    def put(self, key: object) -> tuple[str, bool]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if type(key) is not str:
            raise NotTextError(f"{type(key).__name__} cannot be a key")
        return key, True

    def get(self, key: object, raw: object) -> str:
        if type(key) is not str or not raw:
            raise NotTextError("a key is not text")
        return key

    def store(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        value: object,
        read: object,
        key: object = None,  # noqa: ARG002
    ) -> tuple[int, int, None, str]:
        if type(value) is not str or read:
            raise NotTextError(f"{type(value).__name__} cannot be a value")
        return len(value), MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: object) -> str:  # noqa: ARG002
        if mode != MODE_RAW or type(value) is not str or read:
            raise NotTextError("a value is not text")
        return value

    def remove(self, file_path: object) -> None:
        """Do nothing: no row of ours has a file, so one that names a file was not written by us."""


def open_index(directory: str) -> TextCache:
    """Open a database that never evicts texts; a damaged one makes diskcache raise anything."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chmod(directory, 0o700)
    _refuse_locked(os.path.join(directory, "cache.db"))
    cache = Cache(
        directory,
        timeout=_PATIENCE,
        disk=TextDisk,
        eviction_policy="none",
        cull_limit=0,
        statistics=0,
    )
    return cast("TextCache", cache)


def _refuse_locked(path: str) -> None:
    """Raise if the database stays locked, for which diskcache would wait a minute."""
    with contextlib.closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


class TextIndex:
    """Texts by name. A database that cannot be used is moved aside, and the index goes on empty.

    ``warn`` is then called with what happened. A damaged database makes diskcache raise anything, so everything is
    caught.
    """

    def __init__(self, directory: str, warn: Callable[[str], None] = lambda _: None) -> None:
        self._directory = directory
        self._warn = warn
        self._cache: TextCache | None = None
        try:
            self._cache = open_index(directory)
        except Exception as error:  # noqa: BLE001
            # who may only read has no index
            if not (isinstance(error, OSError) and error.errno in _REFUSALS):
                self._start_again(error)

    def get(self, name: str) -> str | None:
        """Return the text that was written under this name."""
        if self._cache is None:
            return None
        try:
            text = self._cache.get(name)
        except Exception as error:  # noqa: BLE001
            self._start_again(error)
            return None
        if not isinstance(text, str) or text[:_HEX] != _checksum(name, text[_HEX:]):
            return None
        return text[_HEX:]

    def write(self, texts: Mapping[str, str], *, limit: int = 1 << 62) -> None:
        """Write texts in one transaction; of more than `limit` rows the oldest are forgotten."""
        if self._cache is None:
            return
        try:
            with self._cache.transact():
                for name, text in texts.items():
                    self._cache.set(name, _checksum(name, text) + text)
                surplus = max(0, len(self._cache) - limit)
                for name in list(islice(self._cache, surplus)):
                    self._cache.delete(name)
        except Exception as error:  # noqa: BLE001
            self._start_again(error)

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()

    def _start_again(self, error: Exception) -> None:
        self._warn(f"the index {self._directory} was damaged and is recreated: {error}")
        with contextlib.suppress(Exception):
            self.close()
        self._cache = None
        aside = f"{self._directory}.damaged"
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(Exception):
            os.rename(self._directory, aside)
            self._cache = open_index(self._directory)


def _checksum(name: str, text: str) -> str:
    return xxh3_128_hexdigest(f"{name}\0{text}".encode())
