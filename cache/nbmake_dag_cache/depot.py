"""Blobs on a remote, in a namespace for each zone of trust: read from several zones, written to one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.blobs import BlobDamagedError, BlobMissingError, BlobStore
from nbmake_dag_cache.remote import SMALL, Remote

MAX_UNSIZED = 256 << 20
"""Bytes of a blob whose size is not in its record: cells, a notebook, a series."""

_COMPARED = 64 << 10
"""Bytes up to which a blob that is there is compared, so that a damaged one is replaced."""


class Depot:
    """The blobs below one URL; any number of threads may use it at once."""

    def __init__(self, remote: Remote, reads: tuple[str, ...]) -> None:
        self._remote = remote
        self._reads = reads
        self._spoiled: set[str] = set()
        """Paths of blobs whose content does not match their names."""

    def bring(self, name: str, size: int | None, blobs: BlobStore, xxh3: str | None = None) -> None:
        """Bring a blob with these digests and, where it is known, this size in bytes into a store.

        Raises `RefusedError` where no zone has it, `RemoteError`, `OSError`.
        """
        reason = "missing blob"
        for zone in self._reads:
            path = place_of(zone, name)
            try:
                blobs.receive(name, self._content(path, size), xxh3=xxh3)
            except (RefusedError, BlobDamagedError) as error:
                if str(error) != "missing":
                    reason = "damaged blob" if isinstance(error, BlobDamagedError) else f"blob {error}"
                    self._spoiled.add(path)
            else:
                return
        raise RefusedError(reason)

    def send(self, zone: str, name: str, blobs: BlobStore) -> None:
        """Write a blob of a store, unless it is there; raises `BlobError`, `RemoteError`."""
        size = blobs.size(name)
        if size is None:
            raise BlobMissingError(name)
        for other in {zone: None, **dict.fromkeys(self._reads)}:
            path = place_of(other, name)
            if path not in self._spoiled:
                with suppress(RefusedError):
                    if self._has(path, name, size, blobs):
                        return
        self._remote.send(place_of(zone, name), blobs.path(name), size)

    def _content(self, path: str, size: int | None) -> Iterable[bytes]:
        """Return the bytes of a blob; one whose size is not known is mostly small."""
        if size is None:
            try:
                data = self._remote.whole(path, SMALL)
            except RefusedError:
                size = self._remote.size(path)
                if size is None or size > MAX_UNSIZED:
                    raise
            else:
                if data is None:
                    raise RefusedError("missing")
                return (data,)
        return self._remote.pieces(path, size)

    def _has(self, path: str, name: str, size: int, blobs: BlobStore) -> bool:
        """Return whether a blob is there. A small one is compared: its bytes take one request, as its size."""
        if 0 < size <= _COMPARED:
            return self._remote.whole(path, size) == blobs.read(name, size)
        return self._remote.size(path) == size


def place_of(zone: str, name: str) -> str:
    """Return the path of a blob below the URL."""
    return f"{zone}/blobs/{name[:2]}/{name}"
