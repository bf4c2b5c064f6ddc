"""The environments in the user's cache folder: shared by all checkouts, each locked while it is made or used.

An environment is a folder that is named by a digest of all that is in it. It is made beside its place and renamed
when it is complete, so one that is there was complete once. What has changed in it since is seen by the sizes and
times of its files; one that was damaged or edited is made again. `NAME.lock` is locked by whoever uses the
environment, and exclusively by whoever makes or removes it; its time is that of the last use.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Generator, Iterator

import msgspec
import xxhash

from nbmake_dag.execute.protocol import EnvironmentSpec
from nbmake_dag.execute.user_cache import user_cache

FORMAT = 1
"""Changes when another environment is made of the same lock file."""
FACTS = "nbdag-environment.json"
UNUSED_S = 30 * 86400.0
"""How long an environment stays that nothing uses."""
_LOCK = ".lock"
_UNFINISHED = ".making-"
_ASK_AGAIN_S = 0.1


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What an environment is, and how it was when it was complete."""

    name: str
    """As it was called by whoever made it first."""
    python: str
    made_by: str
    packages: tuple[str, ...]
    """One line for each, with its hashes."""
    state: str
    """The digest of sizes and times of all its files."""


class Place:
    """Where one environment is, or will be."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def of(cls, spec: EnvironmentSpec) -> Place:
        """Return the place of what is wanted, on this machine."""
        machine = sysconfig.get_platform(), os.confstr("CS_GNU_LIBC_VERSION") if sys.platform == "linux" else ""
        wanted = FORMAT, spec.python, spec.build, spec.requirements, machine
        return cls(os.path.join(environments_folder(), hashlib.sha256(repr(wanted).encode()).hexdigest()[:32]))

    @property
    def python(self) -> str:
        """Its interpreter."""
        return os.path.join(self.path, "bin", "python")

    @property
    def facts(self) -> Facts | None:
        """What is written in it; ``None`` where that cannot be read."""
        try:
            with open(os.path.join(self.path, FACTS), "rb") as file:
                return msgspec.json.decode(file.read(), type=Facts)
        except (OSError, ValueError, RecursionError):
            return None

    def is_whole(self) -> bool:
        """Return whether it is there, and as it was when it was complete."""
        facts = self.facts
        return facts is not None and os.path.exists(self.python) and facts.state == state_of(self.path)

    def complete(self, unfinished: str, facts: Facts) -> None:
        """Put what was made into its place; nobody may use what is there."""
        with open(os.path.join(unfinished, FACTS), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(facts)))
        if os.path.lexists(self.path):
            os.rename(self.path, self._beside())
        os.rename(unfinished, self.path)
        self.clear()

    def _beside(self) -> str:
        return f"{self.path}{_UNFINISHED}{os.urandom(4).hex()}"

    @contextlib.contextmanager
    def unfinished(self) -> Generator[str]:
        """Give a path beside it at which it can be made, with what was left there removed before and after."""
        self.clear()
        try:
            yield self._beside()
        finally:
            self.clear()

    def clear(self) -> None:
        """Remove what killed processes left, and what was replaced; nobody else may be making it."""
        folder, name = os.path.split(self.path)
        for entry in os.listdir(folder):
            if entry.startswith(f"{name}{_UNFINISHED}"):
                shutil.rmtree(os.path.join(folder, entry), ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, keep_waiting: Callable[[], None]) -> Generator[Lock]:
        """Open its lock, which is let go of at the end; ``keep_waiting`` is called while others have it."""
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        descriptor = os.open(self.path + _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield Lock(descriptor, keep_waiting)
        finally:
            os.close(descriptor)


class Lock:
    """The right to use one environment, or to make it."""

    def __init__(self, descriptor: int, keep_waiting: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._keep_waiting = keep_waiting

    def share(self) -> None:
        """Use it, together with others."""
        self._take(fcntl.LOCK_SH)
        os.utime(self._descriptor)

    def alone(self) -> None:
        """Make it; nobody uses it meanwhile."""
        self._take(fcntl.LOCK_EX)

    def _take(self, kind: int) -> None:
        while True:
            try:
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                self._keep_waiting()
                time.sleep(_ASK_AGAIN_S)
            else:
                return


def environments_folder() -> str:
    """Return the folder of all environments of this user."""
    return user_cache("environments")


def state_of(folder: str) -> str:
    """Digest the sizes and times of all files below a folder, but for compiled code and our own facts."""
    digest = xxhash.xxh3_128()
    for line in sorted(_files(folder, "")):
        digest.update(line)
    return digest.hexdigest()


def _files(folder: str, below: str) -> Iterator[bytes]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _files(entry.path, f"{path}/")
            elif path != FACTS:
                status = entry.stat(follow_symlinks=False)
                yield os.fsencode(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n")


class Unused(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed."""

    count: int
    size: int


def remove_unused(older_than_s: float, now: float) -> Unused:
    """Remove the environments that nobody has used for a time, but for those in use."""
    count = size = 0
    folder = environments_folder()
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if not name.endswith(_LOCK):
            continue
        place = Place(os.path.join(folder, name.removesuffix(_LOCK)))
        if now - os.stat(place.path + _LOCK).st_mtime < older_than_s:
            continue
        with place.lock(_in_use) as lock, contextlib.suppress(_InUseError):
            lock.alone()
            place.clear()
            if os.path.isdir(place.path):
                count, size = count + 1, size + size_of(place.path)
                shutil.rmtree(place.path, ignore_errors=True)
            # its lock stays: who waits for it now must not lock a file that others no longer see
    return Unused(count=count, size=size)


def size_of(folder: str) -> int:
    """Return the bytes of all files below a folder."""
    return sum(
        os.lstat(os.path.join(parent, name)).st_size for parent, _, names in os.walk(folder) for name in names
    )


class _InUseError(Exception):
    """Somebody has the lock."""


def _in_use() -> None:
    raise _InUseError
