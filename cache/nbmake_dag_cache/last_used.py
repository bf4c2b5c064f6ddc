"""The time of each record's last use: one small file for each build that used records.

Each file is named by its time and by the digest of its lines, which are keys, so that a damaged one is seen, and
files from several machines lie side by side. Losing one costs nothing but a worse choice of what to forget.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from operator import itemgetter

from nbmake_dag_cache.digest import digest_bytes
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.layout import CacheLayout, files_below, publish, remove

_RECENT = 3600
"""Seconds within which the same use is not noted again."""
_LATEST = 1 << 62
"""A time that no build notes, in a name that somebody made up."""


class LastUsed:
    """The times of last use of one cache folder's records, in whole seconds since the epoch."""

    def __init__(self, root: str) -> None:
        self._layout = CacheLayout(root)

    def note(self, keys: Iterable[Key], now: float) -> None:
        """Note that a build at `now` used these records, hits and new ones."""
        known = self._read(int(now) - _RECENT)
        self._write(int(now), set(keys).difference(known))

    def read(self) -> dict[Key, int]:
        return self._read(0)

    def uses(self) -> Iterator[tuple[Key, int]]:
        """Yield what was used, and when, as often as it was noted."""
        return self._uses(0)

    def replace(self, uses: Iterable[tuple[int, Key]]) -> None:
        """Note these uses, in the order of their times, in as few files as times, and forget all others."""
        old = [entry.path for entry in files_below(self._layout.last_used)]
        new = {
            self._write(when, {key for _, key in same}) for when, same in itertools.groupby(uses, itemgetter(0))
        }
        for path in old:
            if path not in new:
                remove(path)

    def _write(self, when: int, keys: set[Key]) -> str:
        if not keys:
            return ""
        data = "\n".join(sorted(keys)).encode()
        path = os.path.join(self._layout.last_used, f"{when}-{digest_bytes(data)}")
        publish(self._layout, path, data)
        return path

    def _read(self, since: int) -> dict[Key, int]:
        used: dict[Key, int] = {}
        for key, when in self._uses(since):
            used[key] = max(used.get(key, 0), when)
        return used

    def _uses(self, since: int) -> Iterator[tuple[Key, int]]:
        for entry in files_below(self._layout.last_used):
            when, _, digest = entry.name.partition("-")
            if not (when.isdecimal() and since <= int(when) < _LATEST and entry.is_file(follow_symlinks=False)):
                continue
            with open(entry.path, "rb") as file:
                data = file.read()
            if digest_bytes(data) == digest:
                yield from ((Key(key), int(when)) for key in data.decode(errors="replace").split("\n"))
