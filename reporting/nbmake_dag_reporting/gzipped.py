"""Gzipped bytes, unpacked up to a limit."""

from __future__ import annotations

import gzip
import io
import sys
import zlib

MAGIC = b"\x1f\x8b"


class DamagedGzipError(ValueError):
    """Bytes are not gzipped, are cut off, or unpack to too much; the message says which."""


def gunzip(data: bytes, largest: int = sys.maxsize - 1) -> bytes:
    """Unpack all members, which may be at most so many bytes in all; raises `DamagedGzipError`."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedGzipError(str(error)) from error
    if len(unpacked) > largest:
        raise DamagedGzipError(f"it unpacks to more than {largest >> 20} MB")
    return unpacked
