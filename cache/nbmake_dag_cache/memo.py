"""Digests of files and identities of notebooks, remembered so that they are not computed again.

A file's digest is remembered with its size, modification and change times and inode. It is remembered only if
the file had been at rest for two seconds when it was hashed, by the clock of the file system: within the
resolution of its time stamps a second write could otherwise go unseen. A mismatch means that the file is hashed
again, nothing else.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import msgspec

from nbmake_dag_cache.digest import Digest, digest_bytes, digest_listing, digest_with_permission
from nbmake_dag_cache.diskcache_text import TextIndex
from nbmake_dag_cache.stamps import FileClock, Stamp, hash_file, is_at_rest, stamp_of

_BIG = 8 << 20
"""Bytes from which a file is hashed in a thread of its own."""
_SHARDS = 256
"""Rows of the index: reading all of them costs the same however many files they hold."""
_IDENTITIES = 50_000

_Row: TypeAlias = tuple[Stamp, Digest]
_decode_shard = msgspec.json.Decoder(dict[str, tuple[tuple[int, int, int, int], str]]).decode


class ListedFile(msgspec.Struct, frozen=True):
    """A file below a directory: its path from there, and what its content is."""

    path: str
    digest: Digest
    size: int
    executable: bool


class StatMemo:
    """Digests of files, remembered in a state folder; for one thread.

    A file has one row for each spelling of its path that is asked for.
    """

    def __init__(self, state: str, warn: Callable[[str], None] = lambda _: None) -> None:
        self._index = TextIndex(os.path.join(state, "files"), warn)
        self._clock = FileClock(os.path.join(state, "clock"))
        self._rows: dict[str, _Row] = {}
        self._changed: set[str] = set()
        self.seen: dict[str, tuple[Stamp | None, Digest]] = {}
        """What was asked for: each file's digest, and its stamp if it was at rest."""
        self.executable: dict[str, bool] = {}
        """Which of the files could be executed, where that was asked for."""
        self.differing: set[str] = set()
        """Files that were seen with one content, and later with another."""
        self.hides: Callable[[str], bool] = lambda _: False
        """Says of a path that it must not be written down."""
        for shard in range(_SHARDS):
            if text := self._index.get(_row_name(shard)):
                self._rows.update(_decode_shard(text))  # type: ignore[arg-type]

    def digest(self, path: str) -> Digest:
        """Return the digest of a file's content; raises `OSError`, also for what is not a file."""
        known = self._known(path, os.stat(path))
        if known is not None:
            return known
        now = self._clock.now()
        return self._learn(path, hash_file(path), now)

    def digest_with_permission(self, path: str) -> Digest:
        """Return the digest of a file's content and executable bit; raises `OSError` as `digest` does."""
        return digest_with_permission(self.digest(path), executable=self.is_executable(path))

    def is_executable(self, path: str) -> bool:
        """Return whether a file can be executed, which is noted; raises `OSError`."""
        self.executable[path] = bool(os.stat(path).st_mode & stat.S_IXUSR)
        return self.executable[path]

    def read(self, path: str, most: int = -1) -> tuple[bytes, Digest]:
        """Return a file's content, or its first bytes, with their digest, which is seen; raises `OSError`."""
        with open(path, "rb") as file:
            data = file.read(most)
        digest = digest_bytes(data)
        if path not in self.seen or self.seen[path][1] != digest:
            self._note(path, None, digest)
        return data, digest

    def digest_many(self, paths: Iterable[str]) -> dict[str, Digest | OSError]:
        """Return the digest of each file, or why it has none; large files are hashed in parallel."""
        results: dict[str, Digest | OSError] = {}
        big: list[str] = []
        for path in paths:
            try:
                status = os.stat(path)
                known = self._known(path, status)
                if known is not None:
                    results[path] = known
                elif status.st_size < _BIG:
                    results[path] = self.digest(path)
                else:
                    big.append(path)
            except OSError as error:
                results[path] = error
        if big:
            now = self._clock.now()
            with ThreadPoolExecutor(min(len(big), os.cpu_count() or 1)) as pool:
                for path, row in zip(big, pool.map(_hash_or_error, big), strict=True):
                    results[path] = row if isinstance(row, OSError) else self._learn(path, row, now)
        return results

    def listing(self, directory: str) -> tuple[ListedFile, ...]:
        """Return every file below a directory, sorted, with links followed; raises `OSError`."""
        found = dict(_walk(directory))
        digests = self.digest_many(os.path.join(directory, path) for path in found)
        files: list[ListedFile] = []
        for path in sorted(found):
            digest, status = digests[os.path.join(directory, path)], found[path]
            if isinstance(digest, OSError):
                raise digest
            files.append(ListedFile(path, digest, status.st_size, bool(status.st_mode & stat.S_IXUSR)))
        return tuple(files)

    def digest_directory(self, directory: str) -> Digest:
        """Return the digest of a directory's listing, with the empty folders in it."""
        files = ((file.path, file.digest, file.executable) for file in self.listing(directory))
        return digest_listing(files, empty_folders(directory))

    def flush(self) -> None:
        """Write the new entries in one transaction; some of the files that are gone are forgotten."""
        shards: dict[int, dict[str, _Row]] = {_shard(path): {} for path in self._changed}
        if not shards:
            return
        for path, row in self._rows.items():
            shard = shards.get(_shard(path))
            if shard is not None and os.path.lexists(path) and not self.hides(path):
                shard[path] = row
        self._index.write({_row_name(shard): msgspec.json.encode(rows).decode() for shard, rows in shards.items()})
        self._changed.clear()

    def close(self) -> None:
        self._index.close()

    def _known(self, path: str, status: os.stat_result) -> Digest | None:
        row = self._rows.get(path)
        if row is None or row[0] != stamp_of(status):
            return None
        self._note(path, *row)
        return row[1]

    def _note(self, path: str, stamp: Stamp | None, digest: Digest) -> None:
        if path in self.seen and self.seen[path][1] != digest:
            self.differing.add(path)
        self.seen[path] = stamp, digest

    def _learn(self, path: str, row: _Row, now: int) -> Digest:
        """Remember a row of a file that was at rest at `now`, a time before it was hashed."""
        stamp, digest = row
        rests = is_at_rest(stamp, now)
        self._note(path, stamp if rests else None, digest)
        if rests and _is_unicode(path):
            self._rows[path] = row
            self._changed.add(path)
        return digest


class IdentityMemo:
    """Texts derived from a content, such as a notebook's identity, by the content's digest and a schema.

    The schema names everything else that the text depends on.
    """

    def __init__(self, state: str, warn: Callable[[str], None] = lambda _: None) -> None:
        self._index = TextIndex(os.path.join(state, "identities"), warn)
        self._new: dict[str, str] = {}

    def get(self, digest: Digest, schema: str) -> str | None:
        name = f"{schema}:{digest}"
        return self._new[name] if name in self._new else self._index.get(name)

    def put(self, digest: Digest, schema: str, text: str) -> None:
        self._new[f"{schema}:{digest}"] = text

    def flush(self) -> None:
        """Write the new entries in one transaction; the oldest beyond a limit are forgotten."""
        if self._new:
            self._index.write(self._new, limit=_IDENTITIES)
            self._new.clear()

    def close(self) -> None:
        self._index.close()


def empty_folders(directory: str) -> list[str]:
    """Return the empty folders below a directory, by their paths from there, with links followed."""
    found: list[str] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        names = os.listdir(os.path.join(directory, prefix))
        if not names and prefix:
            found.append(prefix.rstrip("/"))
        pending += [f"{prefix}{name}/" for name in names if os.path.isdir(os.path.join(directory, prefix, name))]
    return sorted(found)


def _hash_or_error(path: str) -> _Row | OSError:
    try:
        return hash_file(path)
    except OSError as error:
        return error


def _walk(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path from `directory` and status of every file below it.

    Links are followed; one that leads in a circle ends in the system's limit on links, an `OSError`.
    """
    pending = [""]
    while pending:
        prefix = pending.pop()
        for name in os.listdir(os.path.join(directory, prefix)):
            path = prefix + name
            status = os.stat(os.path.join(directory, path))
            if stat.S_ISDIR(status.st_mode):
                pending.append(f"{path}/")
            else:
                yield path, status


def _shard(path: str) -> int:
    return zlib.crc32(path.encode()) % _SHARDS


def _row_name(shard: int) -> str:
    return f"1/{shard}"


def _is_unicode(path: str) -> bool:
    """Return whether a path can be written as text; another is hashed each time."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
