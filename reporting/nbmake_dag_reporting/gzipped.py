"""Gzipped bytes, unpacked up to a limit."""

from __future__ import annotations

import gzip
import io
import zlib

MAGIC = b"\x1f\x8b"


class DamagedGzipError(ValueError):
    """Bytes are not gzipped, are cut off, or unpack to too much; the message gives the reason."""


def gunzip(data: bytes, largest: int | None = None) -> bytes:
    """Unpack all members, which may be at most so many bytes in all; raises `DamagedGzipError`."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(-1 if largest is None else largest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedGzipError(str(error)) from error
    if largest is not None and len(unpacked) > largest:
        raise DamagedGzipError(f"it unpacks to more than {largest >> 20} MB")
    return unpacked
