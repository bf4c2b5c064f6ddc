"""Digests of bytes, files and directory listings."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import NewType

from xxhash import xxh3_128, xxh3_128_hexdigest

Digest = NewType("Digest", str)
"""32 hexadecimal digits: xxh3-128; for keys and change detection, not against malice."""

Sha256 = NewType("Sha256", str)
"""64 hexadecimal digits: the name of a blob."""

_CHUNK = 1 << 20
_SMALL = 1 << 16


def digest_bytes(data: bytes) -> Digest:
    return Digest(xxh3_128_hexdigest(data))


def digest_text(text: str) -> Digest:
    return Digest(xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass")))


def digest_file(path: str) -> Digest:
    """Hash a file's content; raises `OSError`. Large files are streamed, outside the GIL."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return digest_descriptor(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def digest_descriptor(descriptor: int, size: int) -> Digest:
    """Hash an open file from its beginning; `size` is what it is expected to have."""
    if size <= _SMALL:
        data = os.read(descriptor, size + 1)
        if len(data) == size:
            return Digest(xxh3_128_hexdigest(data))
        os.lseek(descriptor, 0, os.SEEK_SET)
    hasher = xxh3_128()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    while count := os.readv(descriptor, [buffer]):
        hasher.update(view[:count])
    return Digest(hasher.hexdigest())


def digest_file_twice(path: str) -> tuple[Digest, Sha256, int]:
    """Hash a file's content for keys and for its blob in one pass: xxh3-128, SHA-256, size in bytes."""
    weak, strong, size = xxh3_128(), hashlib.sha256(), 0
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            weak.update(view[:count])
            strong.update(view[:count])
            size += count
    return Digest(weak.hexdigest()), Sha256(strong.hexdigest()), size


def digest_with_permission(digest: Digest, *, executable: bool) -> Digest:
    """Return the digest of a file as work sees it: that of its content, or another if it can be executed."""
    return digest_text(f"{digest} executable") if executable else digest


def digest_listing(entries: Iterable[tuple[str, Digest, bool]], empty: Iterable[str] = ()) -> Digest:
    """Hash a directory: (path, digest, executable) of every file below it, and its empty folders, in any order."""
    hasher = xxh3_128()
    for path, digest, executable in sorted(entries):
        encoded = path.encode("utf-8", "surrogateescape")
        hasher.update(b"%d:%s%s%d" % (len(encoded), encoded, digest.encode(), executable))
    for path in sorted(empty):
        encoded = path.encode("utf-8", "surrogateescape")
        hasher.update(b"%d:%s/" % (len(encoded), encoded))
    return Digest(hasher.hexdigest())
