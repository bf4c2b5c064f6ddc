"""Bytes, named by their SHA-256.

A blob is written under a temporary name and renamed, so that no file with its name is incomplete, and is
hashed again whenever it is read, so that damage is found before it spreads. That is why nothing here calls
``fsync``: after a loss of power a blob may be short or empty, which its next reader notices, and the task that
made it runs again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import sys
from collections.abc import Generator, Iterable, Iterator
from io import FileIO
from typing import Protocol

import msgspec
from xxhash import xxh3_128

from nbmake_dag_cache.digest import Digest, Sha256, digest_bytes, digest_file_twice
from nbmake_dag_cache.layout import CacheLayout, create, is_sha256, move, publish, remove, temporary_in

_CHUNK = 1 << 20
_FICLONE = 0x40049409
_READ_ONLY = 0o444


class BlobError(Exception):
    """A blob is missing, damaged or too large; ``sha256`` is its name."""

    def __init__(self, sha256: str) -> None:
        super().__init__(sha256)
        self.sha256 = sha256


class BlobMissingError(BlobError):
    """No blob has this name."""

    def __str__(self) -> str:
        return f"blob {self.sha256} is missing"


class BlobDamagedError(BlobError):
    """The bytes under this name did not match it; they have been removed."""

    def __str__(self) -> str:
        return f"blob {self.sha256} was damaged, and has been removed"


class BlobTooLargeError(BlobError):
    """The blob is larger than its reader allows."""

    def __str__(self) -> str:
        return f"blob {self.sha256} is larger than allowed"


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file: the blob's name, the digest for keys, the size in bytes."""

    sha256: Sha256
    xxh3: Digest
    size: int


_ABSENT = frozenset({errno.ENOENT, errno.ELOOP})
"""Errors for a blob that is absent; a circular link counts as absent."""


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...


class BlobStore:
    """The blobs of one cache folder; any number of processes may use it at once."""

    def __init__(self, root: str) -> None:
        self._layout = CacheLayout(root)

    def put_file(self, path: str) -> StoredFile:
        """Store a file's content, read once; raises `OSError`.

        What is hashed is what arrives in the store, so a file that changes meanwhile still gives a blob that is
        named by its bytes. It replaces a blob of that name, which may be damaged.
        """
        temporary = temporary_in(self._layout.temporary)
        weak, strong = xxh3_128(), hashlib.sha256()
        try:
            with FileIO(path) as source, _create(temporary, _READ_ONLY) as target:
                size = _copy(source, target, (weak, strong))
            stored = StoredFile(sha256=Sha256(strong.hexdigest()), xxh3=Digest(weak.hexdigest()), size=size)
            move(temporary, self._layout.blob(stored.sha256))
        except BaseException:
            remove(temporary)
            raise
        return stored

    def put_bytes(self, data: bytes) -> StoredFile:
        """Store bytes, unless they are there and sound; raises `OSError`."""
        stored = StoredFile(
            sha256=Sha256(hashlib.sha256(data).hexdigest()), xxh3=digest_bytes(data), size=len(data)
        )
        if not (self.renew(stored.sha256, stored.size) and self.is_sound(stored.sha256)):
            publish(self._layout, self._layout.blob(stored.sha256), data, mode=_READ_ONLY)
        return stored

    def receive(self, sha256: str, pieces: Iterable[bytes], *, xxh3: str | None = None) -> None:
        """Store bytes from outside under their name; raises `BlobDamagedError` if they do not match it.

        They have no name until all have come, and their digest, and `xxh3` if it is given, is what it must be.
        """
        temporary = temporary_in(self._layout.temporary)
        weak, strong = xxh3_128(), hashlib.sha256()
        try:
            with _create(temporary, _READ_ONLY) as target:
                for piece in pieces:
                    weak.update(piece)
                    strong.update(piece)
                    _write(target, memoryview(piece))
            is_right = strong.hexdigest() == sha256 and xxh3 in {None, weak.hexdigest()}
            if is_right:
                move(temporary, self._layout.blob(sha256))
        finally:
            remove(temporary)
        if not is_right:
            raise BlobDamagedError(sha256)

    def pieces(self, sha256: str) -> Iterator[bytes]:
        """Yield a blob's bytes a megabyte at a time; raises `BlobError` at the end if they are damaged."""
        digest = hashlib.sha256()
        with self._open(sha256) as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != sha256:
            self._discard(sha256)

    @contextlib.contextmanager
    def incoming(self, sha256: str) -> Generator[FileIO]:
        """Open a file to fill with a blob's bytes, in any order; on exit it becomes the blob.

        Raises `BlobDamagedError` if the bytes do not match the name; no blob of that name is then stored.
        """
        temporary = temporary_in(self._layout.temporary)
        digest = hashlib.sha256()
        try:
            with _create(temporary, _READ_ONLY) as file:
                yield file
                file.seek(0)
                _hash(file, (digest,))
            if digest.hexdigest() != sha256:
                self._discard(sha256)
            move(temporary, self._layout.blob(sha256))
        except BaseException:
            remove(temporary)
            raise

    def piece(self, sha256: str, offset: int, size: int) -> bytes:
        """Return some of a blob's bytes, fewer at its end, not verified; raises `BlobMissingError`."""
        with self._open(sha256) as file:
            return os.pread(file.fileno(), size, offset)

    def renew(self, sha256: str, size: int) -> bool:
        """Update the time of a blob, so that retention spares it; ``False`` if it is not there, or short."""
        path = self._layout.blob(sha256)
        try:
            if os.stat(path).st_size != size:
                return False
            os.utime(path)
        except OSError:
            return False
        return True

    def has(self, sha256: str) -> bool:
        return self.size(sha256) is not None

    def size(self, sha256: str) -> int | None:
        """Return a blob's size in bytes, ``None`` if there is none."""
        if is_sha256(sha256):
            try:
                return os.stat(self._layout.blob(sha256)).st_size
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
        return None

    def path(self, sha256: str) -> str:
        """Return a blob's path, if there is such a blob; its bytes are not verified."""
        return self._layout.blob(sha256)

    def examine(self, sha256: str) -> StoredFile | None:
        """Hash a blob again; ``None`` if there is none, or it was damaged: then it is removed."""
        try:
            xxh3, found, size = digest_file_twice(self._layout.blob(sha256))
        except FileNotFoundError:
            return None
        if found != sha256:
            remove(self._layout.blob(sha256))
            return None
        return StoredFile(sha256=found, xxh3=xxh3, size=size)

    def read(self, sha256: str, max_size: int) -> bytes:
        """Return a blob's bytes, verified; raises `BlobError`."""
        with self._open(sha256) as file:
            if os.fstat(file.fileno()).st_size > max_size:
                raise BlobTooLargeError(sha256)
            data = file.read()
        if hashlib.sha256(data).hexdigest() != sha256:
            self._discard(sha256)
        return data

    def restore(self, sha256: str, destination: str, *, executable: bool = False) -> None:
        """Put a blob's bytes at `destination` in one step, verified before they get that name.

        Raises `BlobError`, or `OSError`; the destination is then as it was.
        """
        folder = os.path.dirname(destination)
        os.makedirs(folder or ".", exist_ok=True)
        try:
            # a kill leaves nothing beside the destination
            self._restore_by_way_of(self._layout.temporary, sha256, destination, executable=executable)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._restore_by_way_of(folder, sha256, destination, executable=executable)

    def _restore_by_way_of(self, folder: str, sha256: str, destination: str, *, executable: bool) -> None:
        temporary = temporary_in(folder)
        digest = hashlib.sha256()
        with self._open(sha256) as source:
            try:
                with _create(temporary, 0o777 if executable else 0o666) as target:
                    _copy(source, target, (digest,))
                if digest.hexdigest() != sha256:
                    self._discard(sha256)
                os.replace(temporary, destination)
            except BaseException:
                remove(temporary)
                raise

    def is_sound(self, sha256: str) -> bool:
        """Return whether a blob is there and its bytes match its name; a damaged blob is not removed."""
        digest = hashlib.sha256()
        try:
            with self._open(sha256) as file:
                _hash(file, (digest,))
        except BlobMissingError:
            return False
        return digest.hexdigest() == sha256

    def _open(self, sha256: str) -> FileIO:
        if not is_sha256(sha256):
            raise BlobMissingError(sha256)
        try:
            # a pipe in its place must not be waited for
            descriptor = os.open(self._layout.blob(sha256), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _ABSENT:
                raise BlobMissingError(sha256) from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BlobMissingError(sha256)
        return FileIO(descriptor)

    def _discard(self, sha256: str) -> None:
        remove(self._layout.blob(sha256))
        raise BlobDamagedError(sha256)


def copy_file(source: str, destination: str) -> None:
    """Copy a file's content, and whether it can be executed, sharing its extents where the file system can."""
    import shutil  # noqa: PLC0415  # a build with nothing to do copies nothing

    with FileIO(source) as file:
        executable = os.fstat(file.fileno()).st_mode & 0o100
        with _create(destination, 0o777 if executable else 0o666) as target:
            if not _clone(file, target):
                shutil.copyfile(source, destination)


def _create(path: str, mode: int) -> FileIO:
    """Create a file to write and read; the umask applies to its mode, which need not allow writing."""
    return FileIO(create(path, os.O_RDWR, mode), "r+")


def _copy(source: FileIO, target: FileIO, hashes: tuple[_Hash, ...]) -> int:
    """Copy a file, sharing its extents where the file system can, and hash the copy; return its size."""
    if _clone(source, target):
        return _hash(target, hashes)
    buffer = memoryview(bytearray(_chunk(source)))
    size = 0
    while count := source.readinto(buffer):
        piece = buffer[:count]
        for digest in hashes:
            digest.update(piece)
        size += count
        _write(target, piece)
    return size


def _write(target: FileIO, piece: memoryview) -> None:
    while piece:
        piece = piece[target.write(piece) :]


def _hash(file: FileIO, hashes: tuple[_Hash, ...]) -> int:
    buffer = memoryview(bytearray(_chunk(file)))
    size = 0
    while count := file.readinto(buffer):
        for digest in hashes:
            digest.update(buffer[:count])
        size += count
    return size


def _chunk(file: FileIO) -> int:
    """Large files in pieces whose hashing leaves the GIL; small ones without paying for a large buffer."""
    return max(1, min(os.fstat(file.fileno()).st_size + 1, _CHUNK))


def _clone(source: FileIO, target: FileIO) -> bool:
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True
