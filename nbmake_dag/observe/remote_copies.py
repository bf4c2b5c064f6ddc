"""What is known of remote inputs: which content the local copy has, and since when."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.model import RemoteFile
from nbmake_dag.core.urls import fixed_identity, identity_of
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag_cache.digest import Digest, digest_text


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """The content that a URL was last seen to have. Times in nanoseconds since the epoch."""

    url: str
    """Scrubbed, for people."""
    sha256: str
    xxh3: str
    size: int
    etag: str | None = None
    """A strong one, or what another file system says of a version."""
    modified: str | None = None
    """``Last-Modified``, as it was written."""
    checked: int
    """When the server last said so."""


def file_of(project: Project, remote: RemoteFile) -> str:
    """Return the path of what was learned about a file."""
    return os.path.join(folder_of(project), f"{identity_of(remote)}.json")


def folder_of(project: Project) -> str:
    return os.path.join(project.cache, "remote")


def learned_file(project: Project, remote: RemoteFile) -> StateFile[Learned]:
    return learned_at(file_of(project, remote))


def learned_at(path: str) -> StateFile[Learned]:
    return StateFile(path, "nbdag-remote-input 1", Learned)


class RemoteCopies(msgspec.Struct, kw_only=True):
    """Reads what was learned, once for each file."""

    project: Project
    warn: Callable[[str], None]
    failed: dict[str, str] = {}
    """The keys of files that a build has no copy of, each with the reason."""
    asked: set[str] = set()
    """Those that a build has brought up to date."""
    _read: dict[str, Learned | None] = {}

    def learned(self, remote: RemoteFile) -> Learned | None:
        if remote.key not in self._read:
            learned = learned_file(self.project, remote).read(self.warn)
            # a cache that was carried says what it likes
            is_other = learned is not None and remote.sha256 not in {None, learned.sha256}
            self._read[remote.key] = None if is_other else learned
        return self._read[remote.key]

    def note(self, remote: RemoteFile, learned: Learned) -> None:
        """Take over what was learned by now."""
        self._read[remote.key] = learned

    def digest(self, remote: RemoteFile) -> Digest | None:
        """Return what identifies the content; absent if nobody has asked yet, ``None`` if a build has none."""
        if not remote.fetch:
            return digest_text(fixed_identity(remote))
        if remote.key in self.failed:
            return None
        learned = self.learned(remote)
        return Digest(ABSENT if learned is None else learned.xxh3)

    def expires(self, remote: RemoteFile) -> int | None:
        """Return when the server is to be asked again, in nanoseconds since the epoch."""
        learned = None if remote.is_pinned else self.learned(remote)
        return None if learned is None else learned.checked + int(remote.recheck * 1e9)
