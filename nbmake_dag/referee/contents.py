"""Where the bytes are that a run had: each file by its digest, in the workspace, among blobs, or in git."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from nbmake_dag.config.remote_inputs import is_url
from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.model import ProjectPath
from nbmake_dag.observe.project import Project
from nbmake_dag.referee.copies import file_of_commit
from nbmake_dag.referee.order import Absent, Blob, Bytes, Content, OnDisk
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import digest_bytes, digest_file, digest_with_permission
from nbmake_dag_cache.record import OutputFile, Record


class Contents:
    """Finds files of a run by their digests; ``commits`` are those whose files it may have had."""

    def __init__(self, project: Project, records: Iterable[Record], commits: Iterable[str]) -> None:
        self._project = project
        self._blobs = BlobStore(project.cache)
        self._commits = tuple(commits)
        self._files: dict[tuple[str, str], OutputFile] = {}
        self._folders: dict[tuple[str, str], tuple[OutputFile, ...]] = {}
        for record in records:
            self._files |= {(file.path, file.digest): file for file in _files_of(record)}
            self._folders |= {(output.path, output.digest): output.files for output in record.outputs}

    def inputs_of(self, record: Record) -> Iterator[tuple[ProjectPath, Content | None, bool]]:
        """Yield each declared file that a task read, ``None`` where it is nowhere, and whether a task made it."""
        for item in record.ingredients:
            if item.kind != "input":
                continue
            made = item.stage == "upstream"
            if is_url(item.path):
                yield ProjectPath(item.path), None, made
            elif item.value == ABSENT:
                yield ProjectPath(item.path), Absent(), made
            elif item.path.endswith("/"):
                for file in self._folders.get((item.path, item.value), ()):
                    yield ProjectPath(file.path), self.find(file.path, file.digest), made
            else:
                yield ProjectPath(item.path), self.find(item.path, item.value), made

    def find(self, path: str, digest: str) -> Content | None:
        """Return where a file with a digest is; ``None`` where it is nowhere."""
        place = self._project.absolute(path)
        if os.path.isfile(place) and _digest_of(place) == digest:
            return OnDisk(place)
        file = self._files.get((path, digest))
        if file is not None and self._blobs.has(file.sha256):
            return Blob(file.sha256, file.executable)
        within = os.path.relpath(os.path.realpath(place), os.path.realpath(self._project.repository))
        for commit in self._commits if not within.startswith("..") else ():
            found = file_of_commit(self._project.repository, commit, within)
            if found is not None and digest_with_permission(digest_bytes(found[0]), executable=found[1]) == digest:
                return Bytes(*found)
        return None


def _files_of(record: Record) -> Iterator[OutputFile]:
    for output in record.outputs:
        yield from output.files
    yield from record.inputs


def _digest_of(path: str) -> str:
    executable = bool(os.stat(path).st_mode & 0o100)
    return digest_with_permission(digest_file(path), executable=executable)
