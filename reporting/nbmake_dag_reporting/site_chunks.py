"""The files of a site: script chunks, which a page may load from ``file://``, and content named by its digest.

Everything that is published goes through `SiteFiles`, which looks for secrets in it first.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from typing import Any

import msgspec

from nbmake_dag_reporting.runs import open_regular
from nbmake_dag_reporting.secrets_scan import Secrets
from nbmake_dag_reporting.spans import attribute_text, attribute_value

_OPENING = "nbdag.load('"
_REF = 20
_encode = msgspec.json.Encoder(order="deterministic").encode


class DamagedChunkError(Exception):
    """A file of a site cannot be read back, or is gone; says which."""


class SiteFiles:
    """Writes below one folder, by rename, and not at all what is already there."""

    def __init__(self, root: str, secrets: Secrets) -> None:
        self.root = root
        self.secrets = secrets
        self.grown = 0
        """Bytes that the site grew by."""
        self.refs: set[str] = set()
        """Paths of content that was put or found since this was last emptied."""
        self.previews: dict[str, Any] = {}
        """What is in files of data, by digest: the hits of many runs share them."""
        self.damaged: list[str] = []
        """Keys of what could not be read back, and was taken for empty."""
        self.scripts: dict[str, str] = {}
        """Where the scripts of libraries are, by digest: they are large, and most tasks share them."""

    def write(self, path: str, data: bytes) -> None:
        target = os.path.join(self.root, path)
        self.grown += len(data) - self._size(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(target) and not os.path.islink(target):
            os.rename(target, f"{target}.damaged")
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(target), delete=False) as file:
            try:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise

    def write_chunk(self, key: str, value: Any, place: str) -> str:
        """Write a value under a key that may be written again; return the digest of its bytes."""
        data = self._checked(value, place)
        self.write(chunk_path(key), _script(key, data))
        return hashlib.sha256(data).hexdigest()[:8]

    def read_chunk(self, key: str, of: Any = Any, *, must: bool = False) -> Any:
        """Read a value of a type back, ``None`` where there is none, unless there must be one.

        Raises `DamagedChunkError`.
        """
        path = chunk_path(key)
        try:
            with open_regular(os.path.join(self.root, path)) as file:
                return msgspec.json.decode(_content(file.read().decode(), key), type=of)
        except FileNotFoundError as error:
            if must:
                raise DamagedChunkError(path) from error
            return None
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise DamagedChunkError(path) from error

    def has_chunk(self, key: str) -> bool:
        """Whether there is a chunk, in whatever state."""
        return os.path.isfile(os.path.join(self.root, chunk_path(key)))

    def put(self, value: Any, place: str) -> str:
        """Store a value under its digest, once, and return that."""
        data = self._checked(value, place)
        ref = hashlib.sha256(data).hexdigest()[:_REF]
        key = f"content/{ref}"
        self._once(chunk_path(key), _script(key, data))
        return ref

    def keep(self, ref: str) -> None:
        """Count content that was put before among what is put now."""
        self.refs.add(chunk_path(f"content/{ref}"))

    def put_bytes(self, data: bytes, sha256: str, extension: str, place: str) -> str:
        """Store a file under its digest, once, and return its path. The extension decides how it is served."""
        data = self.secrets.clean(data, place)
        path = f"blobs/{sha256[:2]}/{sha256}.{extension}"
        self._once(path, data)
        return path

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.root, path))

    def _size(self, path: str) -> int:
        try:
            return os.lstat(os.path.join(self.root, path)).st_size
        except FileNotFoundError:
            return 0

    def _checked(self, value: Any, place: str) -> bytes:
        try:
            data = _encode(value)
        except (UnicodeEncodeError, OverflowError):
            data = _encode(_encodable(value))
        return self.secrets.clean(data, place)

    def _once(self, path: str, data: bytes) -> None:
        """Write a file unless it is there, whole: one that was damaged is written again."""
        if path not in self.refs:
            self.refs.add(path)
            if not self._holds(path, data):
                self.write(path, data)

    def _holds(self, path: str, data: bytes) -> bool:
        with suppress(OSError), open_regular(os.path.join(self.root, path)) as file:
            return file.read(len(data) + 1) == data
        return False


def _encodable(value: Any) -> Any:
    """Spell what UTF-8 or an integer of 64 bits cannot hold, as notebooks and logs may."""
    match value:
        case dict():
            return {attribute_text(str(name)): _encodable(item) for name, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case str() | int():
            return attribute_value(value)
        case _:
            return value


def chunk_path(key: str) -> str:
    """Name the file of a chunk; content is spread over folders."""
    if key.startswith("content/"):
        return f"data/content/{key[8:10]}/{key[8:]}.js"
    return f"data/{key}.js"


def _script(key: str, data: bytes) -> bytes:
    # A string for JSON.parse, not an object literal, in which the name `__proto__` would mean something.
    text = data.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
    return f"{_OPENING}{key}','".encode() + text + b"')\n"


def _content(script: str, key: str) -> str:
    before, after = f"{_OPENING}{key}','", "')\n"
    if not script.startswith(before) or not script.endswith(after):
        raise ValueError(key)
    text = script[len(before) : -len(after)]
    return text.replace("\\'", "'").replace("\\\\", "\\")
