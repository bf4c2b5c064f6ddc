"""Change `pipeline.toml`: the new text is checked as a pipeline, and replaces the file as a whole."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryDirectory

import tomli
from msgspec.structs import replace

from nbmake_dag.config.profiles import profiles_of
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.ignore import Ignored
from nbmake_dag.core.model import ProjectPath
from nbmake_dag.engine.loading import read_pipeline
from nbmake_dag.errors import Complaint, ConfigError, UsageError, naming
from nbmake_dag.observe.instance_data import Data, files_of
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.sources import Sources
from nbmake_dag_cache.memo import IdentityMemo, StatMemo


class _Edited:
    """The disk, with another text in a file."""

    def __init__(self, disk: Data, path: str, text: bytes) -> None:
        self._disk, self._path, self._text = disk, path, text

    def rows(self, path: ProjectPath) -> bytes:
        return self._text if path == self._path else self._disk.rows(path)

    def matching(self, pattern: str, ignore: Ignored) -> tuple[ProjectPath, ...]:
        return self._disk.matching(pattern, ignore)


def new_project(config: str) -> Project:
    """Return the project of a pipeline file that may not exist yet."""
    root = os.path.dirname(config)
    return Project(config=config, root=root, repository=root)


def complaints_about(project: Project, file: str, text: str) -> tuple[Complaint, ...]:
    """Return why a pipeline cannot be planned if its file, or a part of it, has another text."""
    edited, is_part = text.encode("utf-8", "replace"), file != project.config
    with TemporaryDirectory() as state:
        files, identities = StatMemo(state), IdentityMemo(state)
        sources = Sources(project, files, identities, tuple(filter(None, sys.path)))
        try:
            whole = files.read(project.config)[0] if is_part else edited
            at = _Edited(sources.data, project.relative(file), edited) if is_part else sources.data
            build_graph(read_pipeline(project, whole, sources, {}, at))
        except ConfigError as error:
            return error.complaints
        finally:
            files.close()
            identities.close()
    return ()


def profiles_elsewhere(project: Project, but: str) -> list[str]:
    """Return the profiles of the other files of a pipeline; ``but`` is relative to the root."""
    found: list[str] = []
    for path in files_of(project):
        if path != but:
            with open(project.absolute(path), "rb") as file, suppress(ValueError):
                found += profiles_of(tomli.loads(file.read().decode()))
    return found


def edit(project: Project, config: str, change: Callable[[str], str], *, dry_run: bool = False) -> None:
    """Change the text of a pipeline file or a part, whose lines end with LF for ``change``; a link stays one.

    Raises `UsageError` where the result is no pipeline, and then leaves the file as it was.
    """
    with open(config, encoding="utf-8", newline="") as file:
        before = file.read()
    text = change(before.replace("\r\n", "\n"))
    if complaints := complaints_about(replace(project, profiles=()), config, text):
        facts = tuple(("why", complaint.what) for complaint in complaints[:3])
        raise UsageError("the pipeline could not be built with the new lines; nothing was changed", facts)
    if dry_run:
        return
    place = os.path.realpath(config)
    temporary = f"{place}.new"
    with naming(place):
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            file.write(text.replace("\n", "\r\n") if "\r\n" in before else text)
        shutil.copymode(place, temporary)
        os.replace(temporary, place)
