"""Files of a remote file system that may be slow, broken or hostile: every operation is bounded in bytes and time.

An operation runs in a daemon thread of its own, and is left alone when its time is up, since nothing can stop a
thread that waits for a socket. After a few failures in a row, or when looking things up has taken too long in all,
the remote is given up: from then on every operation fails at once.
"""

from __future__ import annotations

import errno
import importlib.util
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from enum import Enum
from functools import cached_property, partial
from inspect import signature
from typing import Any, NoReturn, TypeVar

import msgspec

from nbmake_dag_cache.admission import RefusedError
from nbmake_dag_cache.layout import TEMPORARY_PREFIX

_T = TypeVar("_T")
_PIECE = 8 << 20
SMALL = 1 << 20
"""Bytes of a file up to which one request brings it, without a question about its size before."""
_S3 = {
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}},
    "max_concurrency": 2,
    "use_listings_cache": False,
}
_LOCAL = {"auto_mkdir": True}
_OPTIONS: dict[str, dict[str, Any]] = {"file": _LOCAL, "local": _LOCAL, "s3": _S3, "s3a": _S3}
_STREAMED = frozenset({"http", "https"})
"""Whose servers may answer a request for a part with the whole."""
_RENAMED = frozenset({"file", "local", "sftp", "ssh", "smb"})
"""Where a file that is being written can be seen."""
_LOCAL_FILES = frozenset({"file", "local"})
_CONDITIONAL = frozenset({"s3", "s3a", "gs", "gcs"})
"""Whose servers can be asked to write only a file that is not there yet."""
_VERSIONS = ("ETag", "etag", "md5Hash", "generation", "content_md5")
"""What file systems call the version of an object."""
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_STRANGE = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})


class UnknownRemoteError(ValueError):
    """A URL that no installed file system serves; its text has the reason."""


class RemoteError(Exception):
    """An operation failed, took too long, or was not begun because the remote had been given up."""


class WriteRefusedError(RemoteError):
    """Nothing may be written or removed there by this user, which says nothing about reading."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of time in seconds, and of failures."""

    operation: float = 10.0
    """Of one operation on up to a few kilobytes."""
    lookups: float = 300.0
    """Of all time in which anybody waits for a small file."""
    failures: int = 3
    """In a row, after which the remote is given up."""
    rate: float = float(1 << 20)
    """Bytes per second that a large file must reach."""

    def of(self, size: int) -> float:
        return self.operation + size / self.rate


def check_url(url: str) -> None:
    """Raise `UnknownRemoteError` unless the file system of a URL is installed; it is not imported."""
    from fsspec.registry import get_filesystem_class, known_implementations  # noqa: PLC0415 - few need a remote

    scheme = _scheme(url)
    known = known_implementations.get(scheme)
    if known is None:
        try:
            get_filesystem_class(scheme)
        except (ValueError, ImportError) as error:
            raise UnknownRemoteError(f"no file system is known for {scheme}://") from error
    elif importlib.util.find_spec(known["class"].partition(".")[0]) is None:
        raise UnknownRemoteError(known.get("err", f"the file system for {scheme}:// is not installed"))


class Remote:
    """The files below one URL; any number of threads may use it at once."""

    def __init__(
        self, url: str, limits: Limits | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        self._url = url
        self._options = options or {}
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None
        self._opening = threading.Lock()
        self._failures = 0
        self._waiting: dict[Future[Any], None] = {}
        """In the order in which they were begun."""
        self._lookups = _Watch()
        self.gone = ""
        """Why it was given up."""
        self.errors: list[str] = []
        """What went wrong, each once."""

    def read(self, path: str, max_size: int) -> bytes | None:
        """Return what `whole` returns, to look something up: there is a limit for the time of all that."""
        with self._lookups:
            data = self.whole(path, max_size)
        if self._lookups.total > self._limits.lookups and not self.gone:
            self.errors.append(f"looking things up took more than {self._limits.lookups:g} s")
            self.give_up(self.errors[-1])
        return data

    def whole(self, path: str, max_size: int) -> bytes | None:
        """Return a small file's bytes, ``None`` if there is none; raises `RefusedError` if it is larger."""
        data = self._do(lambda: self._beginning(path, max_size + 1), self._limits.operation)
        if data is not None and len(data) > max_size:
            raise RefusedError("too large")
        return data

    def size(self, path: str) -> int | None:
        """Return a file's size in bytes, ``None`` if there is none."""
        return self._do(lambda: self._size(path), self._limits.operation)

    def describe(self, path: str) -> tuple[int, str] | None:
        """Return a file's size in bytes, and a text that changes with its content; ``None`` if there is none."""
        return self._do(lambda: self._describe(path), self._limits.operation)

    def pieces(self, path: str, size: int) -> Iterator[bytes]:
        """Yield the bytes of a file that must have this size, a few megabytes at a time.

        Raises `RefusedError` where it has another, as soon as that shows, and `RemoteError`.
        """
        if 0 < size <= SMALL:  # an empty one has no part that could be asked for
            data = self._do(lambda: self._beginning(path, size + 1), self._limits.of(size))
            if data is None:
                raise RefusedError("missing")
            if len(data) != size:
                raise RefusedError("not of its size")
            yield data
            return
        deadline = time.monotonic() + self._limits.of(size)
        file = self._do(lambda: self._handle(path), self._limits.operation)
        if file is None:
            raise RefusedError("missing")
        try:
            if getattr(file, "size", None) not in {None, size}:
                raise RefusedError("not of its size")
            for start in range(0, size, _PIECE):
                wanted = min(_PIECE, size - start)
                more = 1 if start + wanted == size else 0
                piece = self._do(partial(_exactly, file, wanted + more), self._limits.of(wanted))
                if piece is None or len(piece) != wanted:
                    raise RefusedError("not of its size")
                if time.monotonic() > deadline:
                    self._fail(f"fewer than {self._limits.rate:g} bytes came in a second")
                yield piece
        finally:
            with suppress(RemoteError):
                self._do(file.close, self._limits.operation)

    def write(self, path: str, data: bytes) -> None:
        """Write a small file; a reader sees all of it or none."""
        self._do(
            lambda: self._put(path, lambda fs, name: fs.pipe_file(name, data)),
            self._limits.of(len(data)),
            writes=True,
        )

    def create(self, path: str, data: bytes) -> bool | None:
        """Write a new small file; ``False`` if it is there already, ``None`` where that cannot be asked for."""
        made = self._do(lambda: self._create(path, data), self._limits.operation, writes=True)
        return None if made is None else made is _Made.NEW

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        self._do(lambda: self._remove(path), self._limits.operation, writes=True)

    def send(self, path: str, source: str, size: int) -> None:
        """Write the content of a local file; a reader sees all of it or none."""
        self._do(
            lambda: self._put(path, lambda fs, name: fs.put_file(source, name)), self._limits.of(size), writes=True
        )

    def give_up(self, why: str) -> None:
        """Let every operation fail, also those that are under way."""
        with self._lock:
            self.gone = self.gone or why
            waiting = list(self._waiting)
        for future in waiting:
            with suppress(InvalidStateError):
                future.set_exception(RemoteError(why))

    def _open(self) -> tuple[Any, str]:
        """Connect, once: the result is a file system of fsspec, and the path in it."""
        with self._opening:
            if self._opened is None:
                from fsspec.core import url_to_fs  # noqa: PLC0415 - few need a remote

                options = {**_OPTIONS.get(_scheme(self._url), {}), **self._options}
                fs, root = url_to_fs(self._url, skip_instance_cache=True, **options)
                if "s3" in _protocols(fs):
                    fs.retries = 2  # of s3fs's own, above those of botocore
                self._opened = fs, root.rstrip("/")
            return self._opened

    def _handle(self, path: str) -> Any:
        """Open a file to be read from its beginning on, nothing ahead."""
        fs, root = self._open()
        if _STREAMED.isdisjoint(_protocols(fs)):
            return fs.open(f"{root}/{path}", "rb", block_size=_PIECE, cache_type="none")
        try:
            return fs.open(f"{root}/{path}", "rb", block_size=0)
        except FileNotFoundError as error:
            if isinstance(error.__cause__, Exception) and not isinstance(error.__cause__, FileNotFoundError):
                # fsspec takes whatever a server does for a file that is not there
                raise OSError(_said(error.__cause__)) from error
            raise

    def _beginning(self, path: str, size: int) -> bytes:
        fs, root = self._open()
        if _STREAMED.isdisjoint(_protocols(fs)):
            try:
                return bytes(fs.cat_file(f"{root}/{path}", start=0, end=size))
            except OSError as error:
                if error.errno != errno.EINVAL or fs.size(f"{root}/{path}"):
                    raise
                return b""  # of which a bucket has no part that could be asked for
        with self._handle(path) as file:
            return _exactly(file, size)

    def _size(self, path: str) -> int | None:
        fs, root = self._open()
        size: int | None = fs.size(f"{root}/{path}")
        return size

    def _describe(self, path: str) -> tuple[int, str]:
        fs, root = self._open()
        found = fs.info(f"{root}/{path}")
        if found.get("type") != "file":
            raise IsADirectoryError(errno.EISDIR, "not a file")
        version = next((found[key] for key in _VERSIONS if found.get(key)), None) or fs.ukey(f"{root}/{path}")
        return int(found["size"]), f"{version} {found['size']}"

    def _put(self, path: str, write: Callable[[Any, str], None]) -> None:
        fs, root = self._open()
        target = f"{root}/{path}"
        try:
            if _RENAMED.isdisjoint(_protocols(fs)):
                write(fs, target)
                return
            temporary = f"{root}/{TEMPORARY_PREFIX}{secrets.token_hex(12)}"
            fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            write(fs, temporary)
            fs.mv(temporary, target)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise OSError(f"nowhere to write: {error}") from error

    @cached_property
    def _is_conditional(self) -> bool:
        """Whether the servers can be asked to write only a file that is not there yet."""
        fs, _ = self._open()
        return not _CONDITIONAL.isdisjoint(_protocols(fs)) and "mode" in signature(fs.pipe_file).parameters

    def _create(self, path: str, data: bytes) -> _Made | None:
        fs, root = self._open()
        target = f"{root}/{path}"
        try:
            if not _LOCAL_FILES.isdisjoint(_protocols(fs)):
                fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                with fs.open(target, "xb") as file:
                    file.write(data)
            elif not self._is_conditional:
                return None
            else:
                fs.pipe_file(target, data, mode="create")
        except FileExistsError:
            return _Made.OLD
        return _Made.NEW

    def _remove(self, path: str) -> None:
        fs, root = self._open()
        fs.rm_file(f"{root}/{path}")

    def _do(self, action: Callable[[], _T], limit: float, *, writes: bool = False) -> _T | None:
        """Run an operation in a thread of its own, and wait for it; ``None`` where the file does not exist."""
        future: Future[_T] = Future()
        with self._lock:
            if self.gone:
                raise RemoteError(self.gone)
            self._waiting[future] = None
        threading.Thread(target=_settle, args=(future, action), daemon=True).start()
        try:
            result = future.result(limit)
        except FileNotFoundError:
            result = None
        except RemoteError:
            raise
        except TimeoutError:
            self._fail(f"no answer within {limit:g} s")
        except OSError as error:
            if error.errno in _STRANGE:
                raise RefusedError("not a file") from error
            # file systems of servers set no number
            if writes and (isinstance(error, PermissionError) or error.errno in _REFUSED):
                self._say(_said(error))
                raise WriteRefusedError(_said(error)) from error
            self._fail(_said(error))
        except Exception as error:  # noqa: BLE001 - file systems raise what they like
            self._fail(_said(error))
        finally:
            with self._lock:
                del self._waiting[future]
        with self._lock:
            self._failures = 0
        return result

    def _say(self, what: str) -> None:
        with self._lock:
            if what not in self.errors:
                self.errors.append(what)

    def _fail(self, what: str) -> NoReturn:
        self._say(what)
        with self._lock:
            self._failures += 1
            over = self._failures >= self._limits.failures
        if over:
            self.give_up(what)
        raise RemoteError(what)


class _Made(Enum):
    NEW = "new"
    OLD = "old"


class _Watch:
    """Adds up the time in which at least one thread is inside."""

    def __init__(self) -> None:
        self.total = 0.0
        self._lock = threading.Lock()
        self._inside = 0
        self._since = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._since = time.monotonic()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self.total += time.monotonic() - self._since


def _settle(future: Future[_T], action: Callable[[], _T]) -> None:
    """Run an action, and pass its result to the caller if it still waits."""
    with suppress(InvalidStateError):
        try:
            future.set_result(action())
        except BaseException as error:  # noqa: BLE001 - the waiting thread judges it
            future.set_exception(error)


def _exactly(file: Any, size: int) -> bytes:
    """Read so many bytes, fewer only where the file ends."""
    pieces: list[bytes] = []
    while size and (piece := file.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    return scheme if separator else "file"


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _said(error: Exception) -> str:
    """Format an error of a file system as one printable line; what a server wrote may be anything."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))[:200].strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
