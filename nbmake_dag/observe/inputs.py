"""The files on disk that tasks declare as inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from nbmake_dag.core.globs import matches, may_match_below, static_prefix
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Input, ProjectPath
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.memo import StatMemo
from nbmake_dag_cache.stamps import Stamp, folder_stamp

_NEVER = frozenset({".git", ".nbdag"})


class Inputs:
    """Finds and digests external inputs; it lives for one run, in which files are taken as at rest.

    ``leftovers`` are outputs, with their digests, of tasks that no longer exist: unless they were changed since,
    they match no glob, and are noted in ``ignored``.
    """

    def __init__(
        self, project: Project, graph: Graph, files: StatMemo, leftovers: Mapping[ProjectPath, Digest]
    ) -> None:
        self._project = project
        self._graph = graph
        self._files = files
        self._leftovers = leftovers
        self._found: dict[str, tuple[tuple[ProjectPath, Digest], ...]] = {}
        self.folders: dict[str, Stamp | None] = {}
        """Folders as they were just before they were searched: a file that joins one may match a glob."""
        self.ignored: set[ProjectPath] = set()

    def fresh(self) -> Inputs:
        """Return one that has looked at nothing yet."""
        return Inputs(self._project, self._graph, self._files, self._leftovers)

    def files(self, item: Input) -> tuple[tuple[ProjectPath, Digest], ...]:
        """Return path and digest of every file of an external input, sorted; nothing for a path that is not."""
        if item.path not in self._found:
            self._found[item.path] = tuple(self._digested(item))
        return self._found[item.path]

    def _digested(self, item: Input) -> Iterator[tuple[ProjectPath, Digest]]:
        absolute = self._project.absolute(item.path)
        if item.is_glob:
            found = self._walk(static_prefix(item.path), item.path)
        elif os.path.isdir(absolute):
            found = self._walk(item.path.rstrip("/") + "/", None)
        else:
            with suppress(FileNotFoundError):
                if os.path.isfile(absolute):
                    yield item.path, self._files.digest(absolute)
            return
        for path in sorted(found):
            if self._graph.owner_of(path) is not None:
                continue
            try:
                digest = self._files.digest(self._project.absolute(path))
            except FileNotFoundError:
                # it went since it was listed
                continue
            if self._leftovers.get(path) == digest:
                self.ignored.add(path)
            else:
                yield path, digest

    def _walk(self, start: str, pattern: str | None) -> Iterator[ProjectPath]:
        """Yield the files below a folder, those that match a glob; links are followed, but not in circles."""
        waiting = [(start, frozenset([os.path.realpath(self._project.absolute(start))]))]
        while waiting:
            folder, entered = waiting.pop()
            absolute = self._project.absolute(folder)
            self.folders.setdefault(absolute, folder_stamp(absolute))
            try:
                entries = list(os.scandir(absolute))
            except OSError:
                continue
            for entry in entries:
                path = folder + entry.name
                if entry.is_dir():
                    if entry.name in _NEVER or (pattern is not None and not may_match_below(pattern, f"{path}/")):
                        continue
                    target = os.path.realpath(entry.path) if entry.is_symlink() else None
                    if target not in entered:
                        waiting.append((f"{path}/", entered | {target} if target else entered))
                elif (pattern is None or matches(pattern, path)) and entry.is_file():
                    yield ProjectPath(path)
