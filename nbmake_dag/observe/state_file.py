"""The one reader and the one writer of small files that outlive a process below ``.nbdag``.

A file is a line with its kind, the number of its format and the checksum of what follows, which is JSON, or
msgpack where it is read in each build. What is damaged, of
another kind or format, or no file at all is put aside under another name with one warning, and counts as absent.
A file that the machine refuses to read may be sound: it stays, and the reader has the error.
Paths in such files are relative to the project that they are found in, see `is_inside`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from nbmake_dag.errors import naming
from nbmake_dag_cache.digest import digest_bytes

DAMAGED = ".damaged"

T = TypeVar("T")


class StateFile(Generic[T]):
    """A value of one type at ``path``; ``kind`` has its name and the number of its format.

    A ``packed`` value is msgpack, which is read in less time and is not for people to read. Of a ``private`` file
    other users of the machine can read nothing.
    """

    def __init__(self, path: str, kind: str, of: type[T], *, packed: bool = False, private: bool = False) -> None:
        self._path = path
        self._private = private
        self._kind = kind.encode()
        self._encode: Callable[[T], bytes] = msgspec.msgpack.encode if packed else msgspec.json.encode
        self._decode: Callable[[bytes], T] = (
            msgspec.msgpack.Decoder(of) if packed else msgspec.json.Decoder(of)
        ).decode

    def read(self, warn: Callable[[str], None]) -> T | None:
        """Return the value; ``None`` where there is none, or one that cannot be used, with a warning to ``warn``.

        Raises `OSError` for a file that cannot be read.
        """
        try:
            return self._value(read_regular(self._path))
        except FileNotFoundError:
            return None
        except OSError as error:
            if not is_no_file(self._path):
                raise
            why = error.strerror
        except ValueError as error:
            why = str(error)
        put_aside(self._path)
        warn(f"{self._path} cannot be used and is put aside: {why}")
        return None

    def write(self, value: T) -> None:
        """Replace the file as a whole; raises `OSError`."""
        data = self._encode(value)
        replace_file(
            self._path, b"%b %b\n%b" % (self._kind, digest_bytes(data).encode(), data), private=self._private
        )

    def _value(self, content: bytes) -> T:
        head, _, data = content.partition(b"\n")
        kind, _, checksum = head.rpartition(b" ")
        if kind != self._kind:
            raise ValueError("it is of another kind or format")
        if checksum != digest_bytes(data).encode():
            raise ValueError("it is damaged")
        return self._decode(data)


def put_aside(path: str) -> None:
    """Rename what is there; where that is not allowed, the next writer fails with a reason."""
    with contextlib.suppress(OSError):
        os.rename(path, name_aside(path))


def name_aside(path: str) -> str:
    """Return a name beside ``path`` for what is put aside, at which nothing is."""
    number, target = 0, path + DAMAGED
    while os.path.lexists(target):
        number, target = number + 1, f"{path}.{number}{DAMAGED}"
    return target


def replace_file(path: str, data: bytes, *, private: bool = False) -> None:
    """Replace a file below ``.nbdag`` as a whole; raises `OSError`, and then leaves it as it was."""
    temporary = f"{path}.new"
    # what a killed process left, or a FIFO, which would be waited for
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    with naming(temporary), open(temporary, "xb") as file:
        if private:
            os.fchmod(file.fileno(), 0o600)
        file.write(data)
    os.replace(temporary, path)


def read_regular(path: str) -> bytes:
    """Return the content of a file, without waiting for a FIFO or following a link; raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file", path)
        with naming(path), open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def is_no_file(path: str) -> bool:
    """Return whether something else than a file is at ``path``, such as a folder or a link; raises `OSError`."""
    return not stat.S_ISREG(os.lstat(path).st_mode)


def is_inside(path: str) -> bool:
    """Return whether a path of a state file stays below the project: relative, without a way up."""
    parts = path.rstrip("/").split("/")
    return bool(path) and not {"", ".", ".."}.intersection(parts) and "\0" not in path
