"""The cache on a node of a cluster: blobs of projects up to a size, and private copies.

It lies in the user's cache folder, is shared by all builds on the node, and can be thrown away whenever none runs.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

import msgspec

from nbmake_dag.execute.user_cache import user_cache
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.layout import CacheLayout, files_below, remove

_SPARED_S = 600.0
"""How long a blob is spared that an attempt has fetched, or found there."""


class NodeCache(msgspec.Struct, frozen=True):
    """The folder of one node."""

    folder: str

    @classmethod
    def of_user(cls) -> NodeCache:
        return cls(user_cache())

    @property
    def store(self) -> BlobStore:
        return BlobStore(self.folder)

    @property
    def locks(self) -> str:
        return os.path.join(self.folder, "locks")

    @property
    def sandboxes(self) -> str:
        return os.path.join(self.folder, "sandboxes")

    def trim(self, max_size: int, keep: set[str]) -> None:
        """Remove the blobs that were used least recently until they fit a size.

        Spared are those to ``keep``, and those that another attempt may just have fetched.
        """
        found: list[tuple[float, int, os.DirEntry[str]]] = []
        for entry in files_below(self._blobs):
            with suppress(FileNotFoundError):  # another attempt has trimmed it away
                found.append((entry.stat().st_mtime, entry.stat().st_size, entry))
        size = sum(each for _, each, _ in found)
        young = time.time() - _SPARED_S
        for used, each, entry in sorted(found, key=lambda item: item[0]):
            if size <= max_size or used > young:
                break
            if entry.name not in keep:
                remove(entry.path)
                size -= each

    @property
    def _blobs(self) -> str:
        return CacheLayout(self.folder).blobs
