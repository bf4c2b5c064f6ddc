"""The layout of ``.nbdag/cache``, and writing a file there: whole, or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import msgspec

from nbmake_dag_cache.key import Key

TEMPORARY_PREFIX = ".nbdag-"
"""Starts the name of every half-written file; one that a killed process left can be removed."""

_KEY = re.compile(r"[0-9a-f]{32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def temporary_in(folder: str) -> str:
    """Return a name in `folder` that is not in use."""
    return f"{folder}/{TEMPORARY_PREFIX}{os.urandom(12).hex()}"


def create(path: str, flags: int, mode: int) -> int:
    """Create a file, and the folder above it where that is missing; return its descriptor."""
    flags |= os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, mode)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, mode)


class CacheLayout(msgspec.Struct, frozen=True):
    """The layout of a cache folder. Only names that `is_key` or `is_sha256` accepts may be asked for."""

    root: str

    @property
    def records(self) -> str:
        return os.path.join(self.root, "records")

    @property
    def blobs(self) -> str:
        return os.path.join(self.root, "blobs")

    @property
    def last_used(self) -> str:
        return os.path.join(self.root, "last_used")

    @property
    def temporary(self) -> str:
        return os.path.join(self.root, "tmp")

    def record_folder(self, own_key: Key) -> str:
        return f"{self.root}/records/{own_key[:2]}/{own_key}"

    def record(self, own_key: Key, key: Key) -> str:
        return f"{self.root}/records/{own_key[:2]}/{own_key}/{key}.json"

    def blob(self, sha256: str) -> str:
        return f"{self.root}/blobs/{sha256[:2]}/{sha256}"


def move(source: str, target: str) -> None:
    """Rename a finished file to its place, making the folders above it, which another process may be removing.

    A folder in its place is removed: nothing of ours is one.
    """
    for _ in range(100):  # each time another process removed the folder again, in the moment between two calls
        try:
            os.replace(source, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
        except IsADirectoryError:
            remove(target)
        else:
            return
    os.replace(source, target)


def publish(layout: CacheLayout, target: str, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file under its final name in one step.

    It is not forced to the disk, which takes as long as a short task: after a loss of power it may be short or
    empty, and readers check what they read.
    """
    temporary = temporary_in(layout.temporary)
    descriptor = create(temporary, os.O_WRONLY, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        move(temporary, target)
    except BaseException:
        remove(temporary)
        raise


def remove(path: str) -> bool:
    """Remove a file, or what is in its place; ``False`` if it was gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except IsADirectoryError:
        import shutil  # noqa: PLC0415 - a build with nothing to do removes no folder

        shutil.rmtree(path)
    return True


def files_below(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield every file below a folder, sorted; a folder that is missing or vanishes meanwhile is empty."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path)
        else:
            yield entry
