"""One file of a web server: asked for conditionally, over bounded redirects; downloads are resumed."""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from glob import escape, glob
from hashlib import sha256
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from nbmake_dag import __version__
from nbmake_dag.core.model import RemoteFile
from nbmake_dag.core.urls import scrubbed
from nbmake_dag.observe.remote_copies import Learned
from nbmake_dag.remote_inputs.addresses import CheckedAdapter, RefusedAddressError, check_host, named_in
from nbmake_dag.remote_inputs.limits import DownloadError, Got, Limits

_PIECE = 64 << 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_RETRIES = 3
_AT_REST = timedelta(minutes=1)
"""How long before an answer a file must have been modified, for its time to be believed."""
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]+/(?:[0-9]+|\*)")


class WebFile:
    """One URL of ``http`` or ``https``; it belongs to one thread at a time."""

    def __init__(self, remote: RemoteFile, limits: Limits) -> None:
        self._remote = remote
        self._limits = limits
        self._named = named_in(remote.url)
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": f"nbdag/{__version__}", "Accept-Encoding": "identity"})
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, CheckedAdapter(self._named))

    def ask(self, learned: Learned | None) -> requests.Response | None:
        """Ask for the file; ``None`` if it is what was ``learned``. Raises `DownloadError`."""
        headers: dict[str, str] = {}
        if learned is not None and learned.etag:
            headers["If-None-Match"] = learned.etag
        elif learned is not None and learned.modified:
            headers["If-Modified-Since"] = learned.modified
        response = self._get(headers)
        etag = _strong(response)
        is_unchanged = response.status_code == HTTPStatus.NOT_MODIFIED and bool(headers)
        if is_unchanged or (response.status_code == HTTPStatus.OK and learned and etag and etag == learned.etag):
            response.close()
            return None
        self._expect(response, HTTPStatus.OK)
        return response

    def download(self, response: requests.Response, part: str) -> Got:
        """Write the content into a file whose name begins with ``part``.

        What an earlier download left there is gone on with if the server still has that version, also after the
        connection broke off. Raises `DownloadError`, `OSError` where the disk fails.
        """
        for attempt in range(_RETRIES + 1):
            etag = _strong(response)
            version = sha256(etag.encode()).hexdigest()[:16] if etag else "new"
            path = f"{part}-{version}.part"
            for other in glob(f"{escape(part)}-*.part"):
                if other != path:
                    os.unlink(other)
            with open(path, "ab") as file:
                if etag is None or "Content-Encoding" in response.headers:
                    file.truncate(0)
                elif file.tell() and response.status_code == HTTPStatus.OK:
                    response.close()
                    response = self._rest(etag, file)
                try:
                    self._receive(response, file)
                except _BrokenOffError as error:
                    if attempt == _RETRIES or etag is None:
                        raise DownloadError(str(error)) from error
                else:
                    return Got(path=path, etag=etag, modified=_modified(response))
            response = self._get({})
            self._expect(response, HTTPStatus.OK)
        raise AssertionError

    def _rest(self, etag: str, file: BinaryIO) -> requests.Response:
        """Ask for what is missing of a version; where the server sends something else, begin anew."""
        start = file.tell()
        response = self._get({"Range": f"bytes={start}-", "If-Range": etag})
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        is_rest = response.status_code == HTTPStatus.PARTIAL_CONTENT and found and int(found[1]) == start
        if is_rest and _strong(response) == etag:
            return response
        if response.status_code != HTTPStatus.OK or _strong(response) != etag:
            response.close()
            response = self._get({})
        self._expect(response, HTTPStatus.OK)
        if _strong(response) != etag:
            self._refuse(response, "changes while it is read")
        file.truncate(0)
        return response

    def _expect(self, response: requests.Response, status: HTTPStatus) -> None:
        if response.status_code != status:
            self._refuse(response, f"answers {response.status_code} {response.reason or ''}".strip())

    def _receive(self, response: requests.Response, file: BinaryIO) -> None:
        """Append the content of a response; raises `DownloadError`, `_BrokenOffError`."""
        announced = response.headers.get("Content-Length", "")
        length = int(announced) if _NUMBER.fullmatch(announced) else None
        if length is not None and file.tell() + length > self._remote.max_size:
            self._refuse(response, f"is {file.tell() + length} bytes, more than max_size")
        received = 0
        try:
            for piece in self._decoded(response):
                if file.tell() + len(piece) > self._remote.max_size:
                    raise DownloadError(f"{_place(response)} sends more than max_size")
                file.write(piece)
            received = response.raw.tell()
        finally:
            response.close()
        if length is not None and received != length:
            raise _BrokenOffError(f"{_place(response)} sent {received} of {length} bytes")

    def _decoded(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the content in bounded pieces, without the encoding that was not asked for."""
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        is_packed_file = urlsplit(self._remote.url).path.endswith((".gz", ".tgz"))
        if encoding in {"identity", ""} or (encoding in {"gzip", "x-gzip"} and is_packed_file):
            yield from self._raw(response)
            return
        if encoding not in {"gzip", "x-gzip"} or response.status_code == 206:
            raise DownloadError(f"{_place(response)} sends the encoding {encoding!r}, which was not asked for")
        unpack = zlib.decompressobj(31)
        try:
            for piece in self._raw(response):
                rest = piece
                while rest:
                    yield unpack.decompress(rest, _PIECE)
                    rest = unpack.unconsumed_tail
        except zlib.error as error:
            raise DownloadError(f"{_place(response)} sends damaged gzip") from error
        if not unpack.eof:
            raise _BrokenOffError(f"{_place(response)} sent gzip without its end")

    def _raw(self, response: requests.Response) -> Iterator[bytes]:
        since, arrived = time.monotonic(), 0
        while True:
            try:
                piece = response.raw.read1(_PIECE, decode_content=False)
            except (HTTPError, OSError, ValueError) as error:
                raise _BrokenOffError(f"{_place(response)} broke off: {type(error).__name__}") from error
            if not piece:
                return
            yield piece
            arrived += len(piece)
            now = time.monotonic()
            if now - since > self._limits.window:
                if arrived < self._limits.rate * (now - since):
                    raise DownloadError(f"{_place(response)} sends under {self._limits.rate:g} bytes a second")
                since, arrived = now, 0

    def _get(self, headers: Mapping[str, str]) -> requests.Response:
        """Follow redirects, each checked, to a response whose content is not read yet; raises `DownloadError`."""
        url = self._remote.url
        for _ in range(_MOST_REDIRECTS + 1):
            parts = urlsplit(url)
            # a connection that is used again may just have been closed by the other side
            self._session.close()
            try:
                check_host(parts.hostname or "", self._named)
                response = self._session.get(
                    url,
                    headers=dict(headers),
                    stream=True,
                    allow_redirects=False,
                    timeout=(self._limits.connect, self._limits.read),
                )
            except RefusedAddressError as error:
                hint = (
                    "; write the address itself into the URL if that is meant" if url == self._remote.url else ""
                )
                raise DownloadError(f"{error}{hint}") from error
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                raise DownloadError(f"{parts.hostname} cannot be reached: {_why(error)}") from error
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            url = self._next(url, response.headers.get("Location", ""))
        raise DownloadError(f"{urlsplit(self._remote.url).hostname} redirects more than {_MOST_REDIRECTS} times")

    def _next(self, url: str, location: str) -> str:
        """Return where a redirect leads; raises `DownloadError` where that is not followed."""
        allowed = {"https"} if url.startswith("https:") else {"http", "https"}
        target = location[:200]
        try:
            following = urljoin(url, location)
            parts = urlsplit(following)
            if location and parts.hostname and parts.port != 0 and parts.scheme in allowed:
                if "@" not in parts.netloc:
                    return following
                target = scrubbed(location)[:200]
        except ValueError:
            pass
        raise DownloadError(f"{urlsplit(url).hostname} redirects to {target!r}: not followed")

    def _refuse(self, response: requests.Response, what: str) -> None:
        response.close()
        raise DownloadError(f"{_place(response)} {what}")


class _BrokenOffError(Exception):
    """A response ended early; the rest may be asked for."""


def _place(response: requests.Response) -> str:
    return urlsplit(response.url).hostname or "the server"


def _strong(response: requests.Response) -> str | None:
    """Return the entity tag of a response if it says that bytes are the same; a weak one does not."""
    etag = response.headers.get("ETag")
    return etag if etag and etag.startswith('"') and etag.isascii() and len(etag) < 1000 else None


def _modified(response: requests.Response) -> str | None:
    """Return when the content was modified, if that tells it from what it becomes: it has whole seconds."""
    text = response.headers.get("Last-Modified", "")
    try:
        age = parsedate_to_datetime(response.headers["Date"]) - parsedate_to_datetime(text)
    except (KeyError, ValueError, TypeError):
        return None
    return text if age >= _AT_REST else None


def _why(error: Exception) -> str:
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    said = getattr(cause, "strerror", None) or type(cause).__name__
    return str(said)
