"""Build artefacts of a repository, over GitHub's REST API.

The token goes to the API alone, never to the storage that a download is redirected to. Waiting for a rate limit is
bounded, and so is everything that comes in.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import IO
from urllib.parse import urljoin, urlsplit

import msgspec
import requests

from nbmake_dag import __version__
from nbmake_dag.errors import InfrastructureError, UsageError

API = "https://api.github.com"
_NAME = re.compile(r"[A-Za-z0-9-]+/(?!\.\.?$)[A-Za-z0-9_.-]+")
_TIMEOUT_S = (10, 30)
_DOWNLOAD_S = 600
_TRIES = 3
_LIMIT = ("Limit", "Remaining", "Reset")
_MOST_PAGES = 1000
_MOST_REDIRECTS = 3
_LARGEST_PAGE = 16 << 20
_LARGEST_ARTIFACT = 512 << 20
_PIECE = 1 << 20
_EXPIRED = "it has expired"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class RateLimitError(InfrastructureError):
    """GitHub's rate limit lasts longer than this command waits, or is nearly used up."""


class DownloadError(Exception):
    """One artefact could not be downloaded; the message gives the reason."""


class WorkflowRun(msgspec.Struct, frozen=True, kw_only=True):
    """What made an artefact; in a run of a fork, the two repositories differ."""

    repository_id: int | None = None
    head_repository_id: int | None = None


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A build artefact. ``digest`` is ``sha256:`` and that of the zip file, where GitHub gives it."""

    id: int
    name: str
    expired: bool = False
    digest: str | None = None
    workflow_run: WorkflowRun | None = None

    @property
    def is_of_fork(self) -> bool:
        """A run whose repository is not known, as that of a fork that was deleted, counts as one of a fork."""
        made = self.workflow_run
        return made is None or made.repository_id is None or made.repository_id != made.head_repository_id


class _Page(msgspec.Struct, frozen=True):
    artifacts: list[Artifact]


class Patience(msgspec.Struct, kw_only=True):
    """How long a command may wait for GitHub, in all, and how it waits."""

    left_s: float = 120
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time

    def wait(self, seconds: float) -> None:
        """Wait, or raise `RateLimitError` where that would be too long."""
        if seconds > self.left_s:
            raise RateLimitError(
                f"GitHub's rate limit is used up until {_moment(self.clock() + seconds)}",
                (),
                "the artefacts fetched so far are stored; with GITHUB_TOKEN set the limit is higher",
            )
        self.left_s -= seconds
        self.pause(seconds)


def checked_name(repository: str) -> str:
    """Return the name of a repository; raises `UsageError` for anything else."""
    if not _NAME.fullmatch(repository):
        raise UsageError(f"{repository} is not a repository", (), "write OWNER/NAME")
    return repository


class GitHub:
    """The API at ``base``, asked as the owner of ``token``, or as anybody."""

    def __init__(self, base: str, token: str | None, patience: Patience) -> None:
        self._base = base.rstrip("/")
        self._home = _origin(base)
        self._patience = patience
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"nbdag/{__version__}"
        self._token = token
        self._until: float | None = None
        """When the rate limit is reset, once this command has used its share."""

    def artifacts(self, repository: str) -> Iterator[Artifact]:
        """Yield the artefacts of a repository, newest first; raises `UsageError`, `InfrastructureError`."""
        seen: set[int] = set()
        url: str | None = f"{self._base}/repos/{repository}/actions/artifacts?per_page=100"
        for _ in range(_MOST_PAGES):
            if url is None:
                return
            try:
                with self._ask(url) as response:
                    page = self._page(response, repository)
                    url = self._next(response)
            except requests.RequestException as error:
                raise InfrastructureError(f"GitHub cannot be reached at {self._home}: {error}") from error
            yield from (artifact for artifact in page.artifacts if artifact.id not in seen)
            seen.update(artifact.id for artifact in page.artifacts)
        raise InfrastructureError(f"GitHub lists more than {_MOST_PAGES} pages of artefacts of {repository}")

    def download(self, repository: str, artifact: Artifact, file: IO[bytes]) -> None:
        """Write the zip file of an artefact; raises `DownloadError`, `InfrastructureError`."""
        digest = self._download(f"{self._base}/repos/{repository}/actions/artifacts/{artifact.id}/zip", file)
        if artifact.digest and artifact.digest != f"sha256:{digest}":
            raise DownloadError(f"its digest is sha256:{digest}, GitHub reports {artifact.digest}")

    def _download(self, url: str, file: IO[bytes]) -> str:
        tries = _TRIES
        while True:
            file.seek(0)
            file.truncate()
            try:
                with self._ask(url) as response:
                    if not response.ok:
                        raise DownloadError(_EXPIRED if response.status_code == 410 else _status(response))
                    return self._copy(response, file)
            except requests.RequestException as error:
                tries -= 1
                if not tries:
                    raise DownloadError(f"the download broke off: {error}") from error
            self._patience.wait(1)

    def _ask(self, url: str) -> requests.Response:
        """Ask until there is an answer that is neither about waiting nor a fault of the server that passes."""
        tries = _TRIES
        while True:
            response = self._follow(url)
            seconds = self._wanted_pause(response)
            if seconds is None and response.status_code >= 500:
                tries -= 1
                seconds = _TRIES - tries if tries else None
            if seconds is None:
                return response
            response.close()
            self._patience.wait(seconds)

    def _follow(self, url: str) -> requests.Response:
        if self._until is not None:
            raise RateLimitError(
                f"nine tenths of GitHub's rate limit are used until {_moment(self._until)}",
                (),
                "the artefacts fetched so far are stored; the rest of the limit is left to others",
            )
        for _ in range(_MOST_REDIRECTS + 1):
            auth = self._authorize if _origin(url) == self._home else _as_anybody
            response = self._session.get(url, auth=auth, stream=True, timeout=_TIMEOUT_S, allow_redirects=False)
            if auth == self._authorize:
                self._note_limit(response)
            if response.status_code not in _REDIRECTS:
                return response
            url = urljoin(url, response.headers.get("Location", ""))
            response.close()
        raise requests.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects")

    def _note_limit(self, response: requests.Response) -> None:
        """Stop before the last tenth of the limit, which other jobs of the repository need."""
        limit, left, until = (response.headers.get(f"X-RateLimit-{name}", "") for name in _LIMIT)
        if response.ok and limit.isdecimal() and left.isdecimal() and int(left) < int(limit) // 10:
            self._until = float(until) if until.isdecimal() else self._patience.clock() + 3600

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Accept"] = "application/vnd.github+json"
        request.headers["X-GitHub-Api-Version"] = "2022-11-28"
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _wanted_pause(self, response: requests.Response) -> float | None:
        """Return how long GitHub asks to wait, ``None`` where it asks for none."""
        if response.status_code not in (403, 429):
            return None
        headers = response.headers
        if after := headers.get("Retry-After"):
            return _seconds(after, self._patience.clock())
        if headers.get("X-RateLimit-Remaining") == "0" and headers.get("X-RateLimit-Reset", "").isdecimal():
            return max(0.0, int(headers["X-RateLimit-Reset"]) - self._patience.clock()) + 1
        return 60 if response.status_code == 429 else None

    def _page(self, response: requests.Response, repository: str) -> _Page:
        if response.status_code in (401, 403, 404):
            raise UsageError(
                f"GitHub does not show the artefacts of {repository}: {_status(response)}",
                (),
                "GITHUB_TOKEN needs the right to read the repository's actions",
            )
        if not response.ok:
            raise InfrastructureError(f"GitHub fails at the artefacts of {repository}: {_status(response)}")
        try:
            return msgspec.json.decode(b"".join(_pieces(response, _LARGEST_PAGE)), type=_Page)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DownloadError) as error:
            raise InfrastructureError(f"{self._home} returned an invalid list of artefacts: {error}") from error

    def _next(self, response: requests.Response) -> str | None:
        url = response.links.get("next", {}).get("url")
        return url if url and _origin(url) == self._home else None

    def _copy(self, response: requests.Response, file: IO[bytes]) -> str:
        digest = hashlib.sha256()
        for piece in _pieces(response, _LARGEST_ARTIFACT):
            digest.update(piece)
            file.write(piece)
        return digest.hexdigest()


def _pieces(response: requests.Response, largest: int) -> Iterator[bytes]:
    size, begun = 0, time.monotonic()
    for piece in response.iter_content(_PIECE):
        size += len(piece)
        if size > largest:
            raise DownloadError(f"it is larger than {largest >> 20} MB")
        if time.monotonic() - begun > _DOWNLOAD_S:
            raise DownloadError(f"it takes longer than {_DOWNLOAD_S} s")
        yield piece


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {response.reason}"


def _seconds(after: str, now: float) -> float:
    """Read Retry-After: seconds, or a date."""
    if after.isdecimal():
        return float(after)
    try:
        return max(0.0, parsedate_to_datetime(after).timestamp() - now)
    except ValueError:
        return 60


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _as_anybody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials, also none of a ``.netrc``."""
    return request
