"""What a cache folder holds, as tables in a file: a large cache need not fit into memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from nbmake_dag_cache.key import Key
from nbmake_dag_cache.last_used import LastUsed
from nbmake_dag_cache.layout import CacheLayout, files_below, is_sha256
from nbmake_dag_cache.record import Record, blobs_of

if TYPE_CHECKING:
    import sqlite3

_MEMORY_KB = 16_384
_SHA256_BYTES = 32
_TABLES = """
CREATE TABLE blobs (name BLOB PRIMARY KEY, size INTEGER, state INTEGER DEFAULT 0) WITHOUT ROWID;
CREATE TABLE uses (key TEXT PRIMARY KEY, at INTEGER) WITHOUT ROWID;
CREATE TABLE records (
    id INTEGER PRIMARY KEY, own_key TEXT, key TEXT, task TEXT, used REAL, size INTEGER, blobs BLOB,
    state INTEGER DEFAULT 0
);
"""
_INDEXES = """
CREATE INDEX by_use ON records (used, key);
CREATE INDEX by_key ON records (key);
"""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A record, as far as its room goes; ``used`` is when it was used last."""

    number: int
    task: str
    own_key: Key
    key: Key
    used: float
    size: int
    blobs: tuple[str, ...]


class Inventory:
    """The records and blobs of a cache folder; each can be marked once. Made by `taken`."""

    def __init__(self, root: str, records: Iterable[Record], tables: sqlite3.Connection) -> None:
        self._layout = CacheLayout(root)
        self._tables = tables
        tables.executescript(_TABLES)
        tables.execute("BEGIN")
        blobs = files_below(self._layout.blobs)
        tables.executemany(
            "INSERT OR IGNORE INTO blobs (name, size) VALUES (?, ?)",
            ((bytes.fromhex(it.name), _size(it.path)) for it in blobs if is_sha256(it.name)),
        )
        tables.executemany(
            "INSERT INTO uses VALUES (?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            LastUsed(root).uses(),
        )
        tables.executemany(
            "INSERT INTO records (own_key, key, task, used, size, blobs) VALUES"
            " (?1, ?2, ?3, max(?4, coalesce((SELECT at FROM uses WHERE key = ?2), 0)), ?5, ?6)",
            (self._row(record) for record in records),
        )
        tables.executescript(f"{_INDEXES} BEGIN;")

    def records(self) -> Iterator[Held]:
        """Yield every record, the one used last first."""
        yield from map(_held, self._tables.execute(f"{_SELECT} ORDER BY used DESC, key DESC"))

    def with_keys(self, keys: Iterable[Key]) -> Iterator[Held]:
        """Yield the records with these keys that are not marked, the greatest key first."""
        for key in sorted(keys, reverse=True):
            yield from map(
                _held, self._tables.execute(f"{_SELECT} WHERE key = ? AND state = 0", (key,)).fetchall()
            )

    def unmarked(self) -> Iterator[Held]:
        """Yield the records that are not marked, the one used longest ago first."""
        yield from map(_held, self._tables.execute(f"{_SELECT} WHERE state = 0 ORDER BY used, key"))

    def mark(self, record: Held) -> None:
        self._tables.execute("UPDATE records SET state = 1 WHERE id = ?", (record.number,))

    def unmarked_size(self, blobs: Iterable[str]) -> int:
        """Return how much those of some blobs take that are there, and are not marked."""
        query = "SELECT size FROM blobs WHERE name = ? AND state = 0"
        return sum(size for name in _names(blobs) for (size,) in self._tables.execute(query, name))

    def size_of_unmarked(self) -> int:
        """Return what all blobs take that are not marked."""
        (size,) = self._tables.execute("SELECT coalesce(sum(size), 0) FROM blobs WHERE state = 0").fetchone()
        return int(size)

    def mark_blobs(self, blobs: Iterable[str]) -> None:
        self._tables.executemany("UPDATE blobs SET state = 1 WHERE name = ?", _names(blobs))

    def unmark(self) -> None:
        """Take all marks away."""
        self._tables.execute("UPDATE blobs SET state = 0")
        self._tables.execute("UPDATE records SET state = 0")

    def unmarked_of(self, record: Held) -> Iterator[str]:
        """Yield the blobs of a record that are there, and are not marked."""
        query = "SELECT 1 FROM blobs WHERE name = ? AND state = 0"
        yield from (
            name for name in record.blobs if self._tables.execute(query, (bytes.fromhex(name),)).fetchone()
        )

    def marked(self) -> tuple[int, int]:
        """Return how many records are marked, and their size in bytes."""
        query = "SELECT count(*), coalesce(sum(size), 0) FROM records WHERE state = 1"
        count, size = self._tables.execute(query).fetchone()
        return count, size

    def marked_blobs(self, start: str) -> frozenset[str]:
        """Return the marked blobs whose names start with two digits."""
        first = bytes.fromhex(start)
        query = "SELECT name FROM blobs WHERE name BETWEEN ? AND ? AND state = 1"
        return frozenset(name.hex() for (name,) in self._tables.execute(query, (first, first + b"\xff" * 32)))

    def marked_uses(self) -> Iterator[tuple[int, Key]]:
        """Yield when each marked record was noted as used, and its key, in this order."""
        query = "SELECT DISTINCT at, key FROM uses JOIN records USING (key) WHERE state = 1 ORDER BY at, key"
        yield from self._tables.execute(query)

    def _row(self, record: Record) -> tuple[str, str, str, float, int, bytes]:
        size = _size(self._layout.record(record.own_key, record.key))
        names = b"".join(bytes.fromhex(name) for name in blobs_of(record) if is_sha256(name))
        return record.own_key, record.key, record.task, record.origin.started / 1e9, size, names


_SELECT = "SELECT id, task, own_key, key, used, size, blobs FROM records"


@contextmanager
def taken(root: str, records: Iterable[Record]) -> Generator[Inventory]:
    """Take the inventory of a cache folder, with these of its records; a kill leaves nothing of it.

    Raises `OSError` where there is no room for its tables, which are in memory up to some megabytes.
    """
    import sqlite3  # noqa: PLC0415  # a build sweeps once a day

    tables = sqlite3.connect("", isolation_level=None)
    try:
        tables.execute("PRAGMA journal_mode = OFF")
        tables.execute("PRAGMA synchronous = OFF")
        tables.execute(f"PRAGMA cache_size = -{_MEMORY_KB}")
        yield Inventory(root, records, tables)
    except sqlite3.Error as error:
        raise OSError(errno.ENOSPC, f"a list of what the cache holds cannot be made: {error}") from error
    finally:
        tables.close()


def _held(row: tuple[int, str, str, str, float, int, bytes]) -> Held:
    number, task, own_key, key, used, size, names = row
    starts = range(0, len(names), _SHA256_BYTES)
    blobs = tuple(names[start : start + _SHA256_BYTES].hex() for start in starts)
    return Held(number=number, task=task, own_key=Key(own_key), key=Key(key), used=used, size=size, blobs=blobs)


def _names(blobs: Iterable[str]) -> Iterator[tuple[bytes]]:
    return ((bytes.fromhex(name),) for name in blobs if is_sha256(name))


def _size(path: str) -> int:
    """Return the size of a file; nothing of one that a build removed meanwhile."""
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0
