"""The members of an untrusted zip file, read within limits, and never written under their own names."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

import msgspec

_PIECE = 1 << 20
_ENTRY = b"PK\x01\x02"
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises for a malformed archive; an offset before the start is an ``OSError``."""
_OVERHEAD = 1 << 20
"""Bytes that a member may unpack to, regardless of its ratio."""


class RefusedArchiveError(ValueError):
    """A file is not a zip file, is damaged, or exceeds the limits; the message gives the reason."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may come out of one zip file. ``ratio`` is that of a member's unpacked size to its packed size."""

    members: int = 100
    size: int = 512 << 20
    total: int = 1 << 30
    ratio: int = 200


def members(file: IO[bytes], suffix: str, limits: Limits) -> Iterator[bytes]:
    """Yield the contents of the files in a zip file whose names end so; raises `RefusedArchiveError`."""
    try:
        if _entries(file) > limits.members:
            raise RefusedArchiveError(f"it has more than {limits.members} members")
        with zipfile.ZipFile(file) as archive:
            left = limits.total
            for info in archive.infolist():
                if info.filename.endswith(suffix):
                    allowed = min(limits.size, left, _OVERHEAD + limits.ratio * info.compress_size)
                    content = _read(archive, info, allowed)
                    left -= len(content)
                    yield content
    except _DAMAGE as error:
        raise RefusedArchiveError(str(error) or "it is damaged") from error


def _entries(file: IO[bytes]) -> int:
    """Count what the list of members can name, before it is read into memory; its own count may be false."""
    count, tail = 0, b""
    file.seek(0)
    while piece := file.read(_PIECE):
        count += (tail + piece).count(_ENTRY)
        tail = piece[-len(_ENTRY) + 1 :]
    return count


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, allowed: int) -> bytes:
    content = bytearray()
    with archive.open(info) as member:
        while piece := member.read(_PIECE):
            content += piece
            if len(content) > allowed:
                raise RefusedArchiveError(f"it unpacks to more than {allowed >> 20} MB")
    return bytes(content)
