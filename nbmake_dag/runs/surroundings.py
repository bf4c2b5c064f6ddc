"""What stands beside a run in its repository, and no record has: the pipeline file, the licence, the inputs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress

from nbmake_dag.observe.git import files_at, run_git
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.digest import Digest, digest_bytes, digest_with_permission
from nbmake_dag_reporting.crate_files import Workflow
from nbmake_dag_reporting.drawing import drawing_of
from nbmake_dag_reporting.graph_formats import mermaid
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import open_regular

_LICENCES = ("LICENSE", "LICENCE", "COPYING", "UNLICENSE")
_SUFFIXES = ("", ".md", ".txt", ".rst")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LARGEST = 256 << 20
"""Bytes of an input that is read whole."""
_LARGEST_PICTURE = 10 << 20


class Surroundings:
    """The checkout of a run. A run of another machine has none: what is here need not be what it saw."""

    def __init__(self, project: Project, run: Run) -> None:
        self._project = project
        self._run = run
        self._is_of_here = os.path.isdir(run.directory)

    def workflow(self) -> Workflow:
        """Return the pipeline file as the run's commit has it, else as it is here, else the graph of the run."""
        vcs = self._run.vcs
        commit = vcs.merge_revision or vcs.head_revision or ""
        if vcs.dirty is not True and (content := self._committed(commit)) is not None:
            return _pipeline(content, f"The pipeline file, as in commit {commit}.")
        if self._is_of_here:
            with open(self._project.config, "rb") as file:
                return _pipeline(file.read(), "The pipeline file, as it was when this crate was written.")
        graph = mermaid(drawing_of(self._run)).encode()
        return Workflow(
            name="pipeline.mmd", content=graph, language="Mermaid", origin="The tasks of the run, as a graph."
        )

    def licence(self) -> tuple[str, bytes] | None:
        """Return the file with the licence of the repository."""
        for name in (f"{stem}{suffix}" for stem in _LICENCES for suffix in _SUFFIXES):
            with suppress(OSError), open_regular(os.path.join(self._project.repository, name)) as file:
                return name, file.read(_LARGEST)
        return None

    def look(self, path: str, digest: str) -> bytes | None:
        """Return the content of a file of the project, if it is that of a digest."""
        if not self._is_of_here:
            return None
        with suppress(OSError), open_regular(self._project.absolute(path)) as file:
            data = file.read(_LARGEST + 1)
            content = digest_bytes(data)
            known = {content, digest_with_permission(content, executable=True)}
            return data if len(data) <= _LARGEST and Digest(digest) in known else None
        return None

    def _committed(self, commit: str) -> bytes | None:
        if not _COMMIT.fullmatch(commit):
            return None
        path = os.path.relpath(self._project.config, self._project.repository)
        done = run_git(self._project.repository, "cat-file", "blob", f"{commit}:{path}")
        return done.stdout if done is not None and done.returncode == 0 else None


def committed_pictures(project: Project, run: Run, paths: Collection[str]) -> dict[str, bytes]:
    """Return what the commit of a run has at paths relative to the pipeline file, within the repository.

    Without files that are too large, and all of them where git does not know the commit.
    """
    below = {os.path.relpath(project.absolute(path), project.repository): path for path in paths}
    wanted = [name for name in below if name.partition("/")[0] not in ("..", ".git")]
    for commit in (run.vcs.merge_revision, run.vcs.head_revision):
        if wanted and _COMMIT.fullmatch(commit or ""):
            found = files_at(project.repository, str(commit), wanted, _LARGEST_PICTURE)
            if found:
                return {below[name]: data for name, data in found.items()}
    return {}


def _pipeline(content: bytes, origin: str) -> Workflow:
    return Workflow(name="pipeline.toml", content=content, language="nbdag pipeline", origin=origin)
