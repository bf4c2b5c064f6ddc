"""Object storage in memory, as fsspec sees it: slow, unreliable, late, and paid by the request."""

from __future__ import annotations

import errno
import random
from collections import Counter
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from typing import Any, Literal

import fsspec
from fsspec.spec import AbstractFileSystem
from xxhash import xxh3_128

from tests.simulation.clock import Clock

_ROOT = "cache"
URL = f"simulated://{_ROOT}"
STATES = ("there", "not visible yet", "torn", "not sent")
"""What a written file may have come to, the worst last."""
_PRICES = {"GET": 0.4e-6, "HEAD": 0.4e-6, "PUT": 5e-6, "DELETE": 0.0}
"""US dollars of a request, S3 Standard in us-east-1."""
_EGRESS = 0.09e-9
"""US dollars of a byte that leaves for the internet."""

_HANGS_S = 40.0

Kind = Literal["GET", "HEAD", "PUT", "DELETE"]


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What goes wrong, and how long things take. Probabilities are of one request."""

    latency_s: float = 0.03
    """The median; one in a hundred takes ten times as long."""
    bandwidth: float = 50e6
    """Bytes per second of one request."""
    scale: int = 2000
    """Each byte of a blob stands for so many."""
    fails: float = 0.002
    hangs: float = 0.0002
    """Operations of which nothing is heard for 40 s."""
    late: float = 0.02
    """Written files that others see after ``late_s`` seconds."""
    late_s: float = 5.0
    torn: float = 0.001
    """Written files of which half arrives, and nobody is told."""
    lasts_s: float = 14 * 86400.0
    """Files older than that are removed, each by itself."""


@dataclass
class _Object:
    data: bytes
    written: float
    visible: float
    before: _Object | None = None
    is_torn: bool = False


@dataclass
class Storage:
    """All objects, by path, and what was paid."""

    clock: Clock
    weather: Weather
    chance: random.Random
    objects: dict[str, _Object] = field(default_factory=dict[str, _Object])
    by_folder: Counter[tuple[Kind, str]] = field(default_factory=Counter[tuple[Kind, str]])
    bytes_out: int = 0
    bytes_in: int = 0
    history: Any = field(default_factory=xxh3_128)
    """Of each request and its time: two simulations are the same if these are."""

    @property
    def dollars(self) -> float:
        requests = sum(_PRICES[kind] * count for (kind, _), count in self.by_folder.items())
        return requests + self.bytes_out * _EGRESS

    def request(self, kind: Kind, path: str, size: int = 0) -> None:
        """Take the time of a request, and fail if it does."""
        weather, chance, folder = self.weather, self.chance, self.folder_of(path)
        self.by_folder[kind, folder] += 1
        self.history.update(f"{self.clock.now!r} {kind} {path} {size}\n".encode())
        seconds = exp(chance.gauss(0, 0.4)) * weather.latency_s * (10 if chance.random() < 0.01 else 1)
        if size:
            seconds += self.weigh(path, size) / weather.bandwidth
        self.clock.sleep(seconds)
        if chance.random() < weather.fails:
            raise OSError(errno.EIO, "503 Slow Down")

    def hangs(self) -> float:
        """Return for how many seconds an operation does not begin."""
        return _HANGS_S if self.chance.random() < self.weather.hangs else 0.0

    def weigh(self, path: str, size: int) -> int:
        return size * self.weather.scale if self.folder_of(path) == "blobs" else size

    @staticmethod
    def folder_of(path: str) -> str:
        return path.rsplit("/", 3)[1]

    def visible(self, path: str) -> bytes:
        """Return what a reader sees now; raises `FileNotFoundError`."""
        found = self.objects.get(path)
        if found is not None and self.clock.now - found.written > self.weather.lasts_s:
            del self.objects[path]
            found = None
        while found is not None and found.visible > self.clock.now:
            found = found.before
        if found is None:
            raise FileNotFoundError(path)
        return found.data

    def put(self, path: str, data: bytes, *, is_new: bool = False) -> None:
        """Store an object; one that must be new is never late."""
        now, chance, weather = self.clock.now, self.chance, self.weather
        before = self.objects.get(path)
        if is_new and before is not None and now - before.written <= weather.lasts_s:
            raise FileExistsError(path)
        if before is not None:
            before.before = None
        late = weather.late_s * chance.random() if not is_new and chance.random() < weather.late else 0.0
        is_torn = not is_new and chance.random() < weather.torn
        data = data[: len(data) // 2] if is_torn else data
        self.objects[path] = _Object(data, now, now + late, before, is_torn)

    def state_of(self, path: str) -> str:
        """Say what a file below the URL has come to: one of `STATES`."""
        found = self.objects.get(f"{_ROOT}/{path}")
        if found is None:
            return "not sent"
        return "torn" if found.is_torn else "not visible yet" if found.visible > self.clock.now else "there"


class SimulatedFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What `Remote` calls of a file system, with S3's requests for each."""

    protocol = ("simulated", "s3")
    cachable = False
    storage: Storage
    """Of the simulation that runs."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        storage = self.storage
        size = len(storage.objects[path].data) if path in storage.objects else 0
        storage.request("GET", path, size)
        data = storage.visible(path)[start:end]
        storage.bytes_out += storage.weigh(path, len(data))
        return data

    def size(self, path: str) -> int:
        self.storage.request("HEAD", path)
        return len(self.storage.visible(path))

    def open(  # pyright: ignore[reportIncompatibleMethodOverride]  # its other options are not used
        self, path: str, mode: str = "rb", **_: Any
    ) -> _Reader:
        self.storage.request("HEAD", path)
        return _Reader(self.storage, path, len(self.storage.visible(path)))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        self.storage.request("PUT", path, len(value))
        self.storage.bytes_in += self.storage.weigh(path, len(value))
        self.storage.put(path, value, is_new=mode == "create")

    def put_file(  # pyright: ignore[reportIncompatibleMethodOverride]  # likewise
        self, lpath: str, rpath: str, **_: Any
    ) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def rm_file(self, path: str) -> None:
        self.storage.request("DELETE", path)
        self.storage.objects.pop(path, None)


class _Reader:
    """An open object: each read is a request."""

    def __init__(self, storage: Storage, path: str, size: int) -> None:
        self.size = size
        self._storage = storage
        self._path = path
        self._at = 0

    def read(self, size: int) -> bytes:
        if self._at >= self.size:
            return b""
        self._storage.request("GET", self._path, min(size, self.size - self._at))
        data = self._storage.visible(self._path)[self._at : self._at + size]
        self._at += len(data)
        self._storage.bytes_out += self._storage.weigh(self._path, len(data))
        return data

    def close(self) -> None: ...


fsspec.register_implementation("simulated", SimulatedFileSystem, clobber=True)
