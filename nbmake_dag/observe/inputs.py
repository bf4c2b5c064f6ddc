"""The files on disk that tasks declare as inputs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from nbmake_dag.core.globs import matches, may_match_below, static_prefix
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.ignore import Ignored
from nbmake_dag.core.model import Input, ProjectPath, RemoteFile
from nbmake_dag.core.text import encodable
from nbmake_dag.observe.places import Places
from nbmake_dag.observe.project import Project, leads_to_file, leads_to_folder
from nbmake_dag.observe.remote_copies import RemoteCopies, file_of
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.memo import StatMemo

_NEVER = frozenset({".git", ".nbdag"})


class FileNameError(OSError):
    """A name that UTF-8 has no bytes for: no record and no parameter can hold it."""


class Inputs:
    """Finds and digests external inputs; it lives for one run, in which files are taken as at rest.

    ``leaving`` are files, with their digests, that are moved away before anything runs: unless they change until
    then, no glob or folder holds them. Folders and globs hold nothing of ``ignore``.
    """

    def __init__(
        self,
        project: Project,
        graph: Graph,
        files: StatMemo,
        leaving: Mapping[ProjectPath, Digest],
        ignore: Ignored,
        folders: Places | None = None,
        *,
        copies: RemoteCopies,
    ) -> None:
        self._project = project
        self._graph = graph
        self._files = files
        self._leaving = leaving
        self._ignore = ignore
        self.copies = copies
        self._found: dict[str, tuple[tuple[ProjectPath, Digest], ...]] = {}
        self.folders = Places() if folders is None else folders
        """Folders as they were just before they were first searched, and paths at which nothing was.

        A file that joins a folder may match a glob, and one that may be absent may appear.
        """

    def fresh(self) -> Inputs:
        """Return one that has looked at nothing yet."""
        return Inputs(
            self._project, self._graph, self._files, self._leaving, self._ignore, self.folders, copies=self.copies
        )

    def files(self, item: Input) -> tuple[tuple[ProjectPath, Digest], ...]:
        """Return path and digest of every file of an external input, sorted; nothing for a path that is not.

        Raises `OSError` for what cannot be read: to pass over it would take a folder for an empty one.
        """
        if item.remote is not None:
            return self._copy(item.path, item.remote)
        if item.path not in self._found:
            self._found[item.path] = tuple(self._digested(item))
        return self._found[item.path]

    def _copy(self, path: ProjectPath, remote: RemoteFile) -> tuple[tuple[ProjectPath, Digest], ...]:
        """Return the copy of a remote file; what was learned about it decides, not the copy."""
        known = file_of(self._project, remote)
        if remote.fetch:
            self.folders.note(known)
        digest = self.copies.digest(remote)
        return ((path, digest),) if digest is not None else ()

    def is_folder(self, item: Input) -> bool:
        """Return whether an input is a folder on disk."""
        return not item.is_glob and os.path.isdir(self._project.absolute(item.path))

    def _digested(self, item: Input) -> Iterator[tuple[ProjectPath, Digest]]:
        absolute = self._project.absolute(item.path)
        if item.is_glob:
            found = self._walk(static_prefix(item.path), item.path)
        elif os.path.isdir(absolute):
            found = self._walk(item.path.rstrip("/") + "/", None)
        else:
            with suppress(FileNotFoundError):
                if os.path.isfile(absolute):
                    yield item.path, self._files.digest_with_permission(absolute)
                    return
            _refuse_hidden(absolute)
            self.folders.setdefault(absolute, None)
            return
        for path in sorted(found):
            if self._graph.owner_of(path) is not None:
                continue
            if encodable(path) != path:
                raise FileNameError(errno.EILSEQ, "its name is not UTF-8", self._project.absolute(path))
            try:
                digest = self._files.digest_with_permission(self._project.absolute(path))
                is_leaving = self._leaving.get(path) == self._files.digest(self._project.absolute(path))
            except FileNotFoundError:
                # it went since it was listed
                continue
            if not is_leaving:
                yield path, digest

    def _walk(self, start: str, pattern: str | None) -> Iterator[ProjectPath]:
        return find_files(self._project, start, pattern, self._ignore, self.folders)


def find_files(
    project: Project, start: str, pattern: str | None, ignore: Ignored, folders: Places
) -> Iterator[ProjectPath]:
    """Yield the files below a folder, those that match a glob; links are followed, but not in circles.

    ``folders`` gets each folder as it was just before it was searched. Raises `PermissionError` for what cannot
    be searched.
    """
    waiting = [(start, frozenset([os.path.realpath(project.absolute(start))]))]
    while waiting:
        folder, entered = waiting.pop()
        absolute = project.absolute(folder)
        folders.note(absolute)
        try:
            entries = list(os.scandir(absolute))
        except PermissionError:
            raise
        except OSError:
            continue
        for entry in entries:
            path = folder + entry.name
            if leads_to_folder(entry):
                may_hold = pattern is None or may_match_below(pattern, f"{path}/")
                if entry.name in _NEVER or f"{path}/" in ignore or not may_hold:
                    continue
                target = os.path.realpath(entry.path) if entry.is_symlink() else None
                if target not in entered:
                    waiting.append((f"{path}/", entered | {target} if target else entered))
            elif (pattern is None or matches(pattern, path)) and path not in ignore:
                if leads_to_file(entry):
                    yield ProjectPath(path)
                else:
                    _refuse_hidden(entry.path)


def _refuse_hidden(path: str) -> None:
    """Raise `PermissionError` where it cannot be known whether there is a file."""
    try:
        os.stat(path)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return
