"""Blobs on their way between the driver's store and the nodes of a cluster, in pieces through Ray's object store.

What a shared cache has, a node fetches from there. A node writes nothing to it: what leaves a task is searched for
secrets first, by the driver, who knows them all. A few pieces are on their way at once, so that no process holds
much more than those, however large a blob is.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import FileIO
from typing import Any

import msgspec

from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.depot import Depot
from nbmake_dag_cache.remote import RemoteError

PIECE = 8 << 20
AHEAD = 4
"""Pieces of one blob that are on their way at once."""
_PIECE_WITHIN_S = 120.0


class Post:
    """An actor beside the driver: it sends and receives pieces of blobs, and heartbeats of attempts."""

    def __init__(self, blobs: str) -> None:
        self._store = BlobStore(blobs)
        self._arriving: dict[str, tuple[AbstractContextManager[FileIO], FileIO]] = {}
        self._heard: dict[str, float] = {}
        self._begun: set[str] = set()
        self._withdrawn: set[str] = set()
        self._lock = threading.Lock()

    def piece(self, sha256: str, offset: int) -> bytes:
        return self._store.piece(sha256, offset, PIECE)

    def lines(self, path: str, offset: int, size: int) -> bytes:
        """Return a piece of the lines that the tasks of the build left."""
        with open(path, "rb") as file:
            return os.pread(file.fileno(), min(size - offset, PIECE), offset)

    def lacks(self, names: list[str]) -> list[str]:
        """Return the blobs that the driver does not have, or not with their bytes."""
        return [name for name in names if not self._store.is_sound(name)]

    def begin(self, sha256: str) -> str:
        """Begin to take in a blob; return the number of its arrival."""
        arrival = secrets.token_hex(8)
        incoming = self._store.incoming(sha256)
        self._arriving[arrival] = incoming, incoming.__enter__()
        return arrival

    def take(self, arrival: str, offset: int, data: bytes) -> None:
        os.pwrite(self._arriving[arrival][1].fileno(), data, offset)

    def end(self, arrival: str) -> None:
        """Accept what has arrived; raises `BlobDamagedError` where it is something else."""
        self._arriving.pop(arrival)[0].__exit__(None, None, None)

    def claim(self, ticket: str, attempt: str) -> bool:
        """Begin what was submitted with a ticket; ``False`` if it was withdrawn."""
        with self._lock:
            if ticket in self._withdrawn:
                return False
            self._begun.add(ticket)
            self._heard[attempt] = time.monotonic()
            return True

    def withdraw(self, ticket: str) -> bool:
        """Keep what was submitted with a ticket from beginning; ``False`` if it has begun."""
        with self._lock:
            if ticket in self._begun:
                return False
            self._withdrawn.add(ticket)
            return True

    def alive(self, attempt: str) -> None:
        with self._lock:
            self._heard[attempt] = time.monotonic()

    def over(self, attempt: str) -> None:
        with self._lock:
            self._heard.pop(attempt, None)

    def silent(self, seconds: float) -> list[str]:
        """Return the attempts that have begun, and have not been heard of for some time."""
        limit = time.monotonic() - seconds
        with self._lock:
            return [attempt for attempt, heard in self._heard.items() if heard < limit]


class Courier(msgspec.Struct):
    """A node's end: it fetches what the node lacks, brings back what the driver lacks, and counts the bytes."""

    post: Any
    store: BlobStore
    locks: str
    """A folder for locks: if several attempts need a blob on this node, one fetches it."""
    depot: Depot | None = None
    fetched: int = 0
    shared: int = 0
    """Bytes of ``fetched`` that came from the depot."""
    sent: int = 0

    def fetch(self, blobs: Iterable[tuple[str, int]]) -> None:
        """Have blobs, given by name and size, in the node's store; raises `BlobError` or one of Ray's."""
        for sha256, size in blobs:
            with self._alone(sha256):
                # verified here, since a task that finds damage cannot fetch the blob anew
                if self.store.renew(sha256, size) and self.store.is_sound(sha256):
                    continue
                if not self._finds(sha256, size):
                    self.store.receive(sha256, self._pieces(sha256, size))
                self.fetched += size

    def lines(self, path: str, offset: int, size: int) -> bytes:
        """Get a piece of a file of lines of the driver, before an offset of ``size``."""
        return bytes(answer(self.post.lines.remote(path, offset, size)))

    def send(self, names: Iterable[str]) -> None:
        """Bring blobs to the driver's store, those that it lacks."""
        for sha256 in answer(self.post.lacks.remote(sorted(set(names)))):
            arrival = answer(self.post.begin.remote(sha256))
            waiting: deque[Any] = deque()
            for offset in range(0, self.store.size(sha256) or 0, PIECE):
                if len(waiting) == AHEAD:
                    answer(waiting.popleft())
                data = self.store.piece(sha256, offset, PIECE)
                self.sent += len(data)
                waiting.append(self.post.take.remote(arrival, offset, data))
            while waiting:
                answer(waiting.popleft())
            answer(self.post.end.remote(arrival))

    def _finds(self, sha256: str, size: int) -> bool:
        """Bring a blob from the shared cache, if there is one that has it."""
        if self.depot is None:
            return False
        try:
            self.depot.bring(sha256, size, self.store)
        except (RefusedError, RemoteError):
            return False
        self.shared += size
        return True

    def _pieces(self, sha256: str, size: int) -> Iterator[bytes]:
        waiting: deque[Any] = deque()
        for offset in range(0, size, PIECE):
            if len(waiting) == AHEAD:
                yield answer(waiting.popleft())
            waiting.append(self.post.piece.remote(sha256, offset))
        while waiting:
            yield answer(waiting.popleft())

    @contextmanager
    def _alone(self, sha256: str) -> Generator[None]:
        os.makedirs(self.locks, exist_ok=True)
        lock = os.open(os.path.join(self.locks, sha256[:2]), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def answer(reference: Any, within_s: float = _PIECE_WITHIN_S) -> Any:
    """Wait for an answer of the post; raises `RayError`, or `TimeoutError`.

    In `ray.get` a task gives up its processors: Ray would start another worker for the next task meanwhile.
    """
    return reference.future().result(within_s)
