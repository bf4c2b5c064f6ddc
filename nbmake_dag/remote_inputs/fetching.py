"""Bring remote inputs up to date: ask all servers at once, download what changed, put copies in place."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from nbmake_dag.config.remote_inputs import WEB
from nbmake_dag.core.model import RemoteFile
from nbmake_dag.core.urls import copy_of, identity_of, scrubbed, secrets_in, users_in
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.remote_copies import Learned, RemoteCopies, folder_of, learned_file
from nbmake_dag.remote_inputs.limits import DownloadError, Got, Limits
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.layout import remove
from nbmake_dag_cache.memo import StatMemo

_ASKED_AT_ONCE = 32
_DOWNLOADS_AT_ONCE = 4
_READ_ONLY = 0o444
_T = TypeVar("_T")
_K = TypeVar("_K")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a build asks for: nobody, everybody, or no result without an answer."""

    offline: bool = False
    recheck: bool = False
    strict: bool = False


class Fetched(msgspec.Struct, kw_only=True):
    """The keys of files without a copy, and of those whose copy could not be checked, with the reasons."""

    failed: dict[str, str] = {}
    kept: dict[str, str] = {}
    downloaded: int = 0
    size: int = 0


class Fetcher:
    """Brings copies up to date, each URL once; the thread of the loop alone may use it."""

    def __init__(
        self,
        project: Project,
        copies: RemoteCopies,
        files: StatMemo,
        rules: Rules,
        limits: Limits | None = None,
    ) -> None:
        self._project = project
        self._copies = copies
        self._files = files
        self._blobs = BlobStore(project.cache)
        self._rules = rules
        self._limits = limits or Limits()

    def fetch(self, wanted: Iterable[RemoteFile]) -> Fetched:
        """Have a verified copy of each file in place."""
        remotes = {remote.key: remote for remote in map(_least, _by_key(wanted).values())}
        done = Fetched()
        now = time.time_ns()
        held = {key: learned for key, remote in remotes.items() if (learned := self._held(remote)) is not None}
        old = [remote for key, remote in remotes.items() if not self._is_fresh(remote, held.get(key), now)]
        if self._rules.offline:
            done.failed = {each.key: "there is no copy, and --offline connects to no server" for each in old}
            return done
        answers = _at_once(
            {remote.key: _asking(remote, held.get(remote.key), self._limits) for remote in old},
            _ASKED_AT_ONCE,
            within=self._limits.ask,
        )
        os.makedirs(folder_of(self._project), exist_ok=True)
        downloads: dict[str, Callable[[], Learned]] = {}
        for key, answer in answers.items():
            if isinstance(answer, DownloadError):
                self._fall_back(remotes[key], held.get(key), str(answer), done)
            else:
                downloads[key] = self._downloading(remotes[key], answer, held.get(key), now)
        for key, outcome in _at_once(downloads, _DOWNLOADS_AT_ONCE).items():
            if isinstance(outcome, DownloadError):
                self._fall_back(remotes[key], held.get(key), str(outcome), done)
                continue
            if key not in held or held[key].sha256 != outcome.sha256:
                done.downloaded += 1
                done.size += outcome.size
            learned_file(self._project, remotes[key]).write(outcome)
            self._copies.note(remotes[key], outcome)
            if not self._place(remotes[key], outcome):
                self._fall_back(remotes[key], None, "its copy is damaged", done)
        return done

    def _is_fresh(self, remote: RemoteFile, learned: Learned | None, now: int) -> bool:
        if learned is None:
            return False
        if remote.is_pinned or self._rules.offline:
            return True
        return not self._rules.recheck and 0 <= now - learned.checked < remote.recheck * 1e9

    def _held(self, remote: RemoteFile) -> Learned | None:
        """Return what is known of a file whose content is here, and put its copy in place."""
        learned = self._copies.learned(remote)
        if learned is None and remote.sha256 is not None:
            learned = self._known_by_hash(remote, remote.sha256)
        return learned if learned is not None and self._place(remote, learned) else None

    def _known_by_hash(self, remote: RemoteFile, sha256: str) -> Learned | None:
        """Find the content of a file by its hash, wherever it came from."""
        stored = self._blobs.examine(sha256)
        if stored is None:
            return None
        learned = Learned(
            url=scrubbed(remote.url), sha256=sha256, xxh3=stored.xxh3, size=stored.size, checked=time.time_ns()
        )
        os.makedirs(folder_of(self._project), exist_ok=True)
        learned_file(self._project, remote).write(learned)
        self._copies.note(remote, learned)
        return learned

    def _place(self, remote: RemoteFile, learned: Learned) -> bool:
        """Put a copy in its place unless it is there; return whether it is."""
        place = self._project.absolute(copy_of(remote))
        with suppress(OSError):
            if os.path.isfile(place) and self._files.digest(place) == Digest(learned.xxh3):
                return True
        try:
            if os.path.isdir(place):
                remove(place)
            self._blobs.restore(learned.sha256, place)
            os.chmod(place, _READ_ONLY)
        except (BlobError, OSError):
            return False
        return True

    def _fall_back(self, remote: RemoteFile, learned: Learned | None, why: str, done: Fetched) -> None:
        for secret in (*secrets_in(remote.url).values(), *users_in(remote.url)):
            why = why.replace(secret, "...")
        if learned is None or self._rules.strict:
            done.failed[remote.key] = why
        else:
            done.kept[remote.key] = why

    def _downloading(
        self, remote: RemoteFile, answer: Answered, held: Learned | None, now: int
    ) -> Callable[[], Learned]:
        part = os.path.join(folder_of(self._project), identity_of(remote))

        def download() -> Learned:
            if answer.download is None and held is not None:
                return msgspec.structs.replace(held, checked=now)
            if answer.download is None:
                raise DownloadError("the server says that nothing changed, and there is no copy")
            got = answer.download(part)
            stored = self._blobs.put_file(got.path)
            os.unlink(got.path)
            if remote.sha256 not in {None, stored.sha256}:
                raise DownloadError(f"its content has the SHA-256 {stored.sha256}, and not that of the URL")
            return Learned(
                url=scrubbed(remote.url),
                sha256=stored.sha256,
                xxh3=stored.xxh3,
                size=stored.size,
                etag=got.etag,
                modified=got.modified,
                checked=now,
            )

        return download


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a server said; ``download`` writes the content to a path that begins as it is told.

    There is none where nothing changed.
    """

    download: Callable[[str], Got] | None


def _asking(remote: RemoteFile, held: Learned | None, limits: Limits) -> Callable[[], Answered]:
    """Return what asks for a file."""
    if urlsplit(remote.url).scheme not in WEB:
        return lambda: _ask_bucket(remote, held, limits)
    return lambda: _ask_web(remote, held, limits)


def _ask_web(remote: RemoteFile, held: Learned | None, limits: Limits) -> Answered:
    from nbmake_dag.remote_inputs.web import WebFile  # noqa: PLC0415 - slow, and not for buckets

    file = WebFile(remote, limits)
    answer = file.ask(held)
    return Answered(download=None if answer is None else lambda part: file.download(answer, part))


def _ask_bucket(remote: RemoteFile, held: Learned | None, limits: Limits) -> Answered:
    from nbmake_dag.remote_inputs.bucket import BucketFile  # noqa: PLC0415 - likewise

    file = BucketFile(remote, limits)
    size, version = file.ask()
    is_same = held is not None and held.etag == version
    return Answered(download=None if is_same else lambda part: file.download(size, version, part))


def _at_once(
    work: Mapping[_K, Callable[[], _T]], threads: int, within: float | None = None
) -> dict[_K, _T | DownloadError]:
    """Do each piece of work in a thread that ends with this process; those not done ``within`` it have failed."""
    waiting: queue.SimpleQueue[tuple[Future[_T], Callable[[], _T]]] = queue.SimpleQueue()
    futures: dict[_K, Future[_T]] = {key: Future() for key in work}
    for key, future in futures.items():
        waiting.put((future, work[key]))
    for _ in range(min(threads, len(work))):
        threading.Thread(target=_work_off, args=(waiting,), name="remote-inputs", daemon=True).start()
    deadline = None if within is None else time.monotonic() + within
    found: dict[_K, _T | DownloadError] = {}
    for key, future in futures.items():
        try:
            found[key] = future.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            future.cancel()
            found[key] = DownloadError(f"no answer within {within:g} s")
        except DownloadError as error:
            found[key] = error
        except OSError as error:
            found[key] = DownloadError(error.strerror or type(error).__name__)
    return found


def _work_off(waiting: queue.SimpleQueue[tuple[Future[_T], Callable[[], _T]]]) -> None:
    while True:
        try:
            future, action = waiting.get_nowait()
        except queue.Empty:
            return
        with suppress(InvalidStateError):
            try:
                future.set_result(action())
            except Exception as error:  # noqa: BLE001 - the waiting thread judges it
                future.set_exception(error)


def _by_key(wanted: Iterable[RemoteFile]) -> dict[str, list[RemoteFile]]:
    found: dict[str, list[RemoteFile]] = {}
    for remote in wanted:
        if remote.fetch:
            found.setdefault(remote.key, []).append(remote)
    return found


def _least(remotes: list[RemoteFile]) -> RemoteFile:
    """Return what all tasks agree with that have one file."""
    return replace(
        remotes[0],
        recheck=min(remote.recheck for remote in remotes),
        max_size=min(remote.max_size for remote in remotes),
    )
