"""What a pipeline comes from besides its file: its parts, and data for instances, on disk or in a commit."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Protocol

from msgspec.structs import replace

from nbmake_dag.config.pipeline_file import Found, PipelineFile, Unreadable, expand, parse, parts_in
from nbmake_dag.core.globs import is_glob, matches, static_prefix
from nbmake_dag.core.ignore import Ignored
from nbmake_dag.core.model import Pipeline, ProjectPath, Value
from nbmake_dag.observe.changes import content_at, paths_at
from nbmake_dag.observe.inputs import find_files
from nbmake_dag.observe.places import Places
from nbmake_dag.observe.project import Project, git_root
from nbmake_dag_cache.memo import StatMemo


class Data(Protocol):
    """Where files and rows are."""

    def rows(self, path: ProjectPath) -> bytes:
        """Return the content of a file; raises `OSError`."""
        ...

    def matching(self, pattern: str, ignore: Ignored) -> tuple[ProjectPath, ...]:
        """Return the files that a glob matches, sorted."""
        ...


class Disk:
    """What is on disk; ``files`` and ``places`` note what a build with nothing to do must look at."""

    def __init__(self, project: Project, files: StatMemo | None = None, places: Places | None = None) -> None:
        self._project = project
        self._files = files
        self._places = Places() if places is None else places

    def rows(self, path: ProjectPath) -> bytes:
        absolute = self._project.absolute(path)
        self._places.note(absolute)
        if self._files is None:
            if not os.path.isfile(absolute):
                # a pipe would be waited for
                raise FileNotFoundError(errno.ENOENT, "is not a file", path)
            with open(absolute, "rb") as file:
                return file.read()
        # with the stamp of a file at rest, if it is that
        self._files.digest(absolute)
        data, _ = self._files.read(absolute)
        return data

    def matching(self, pattern: str, ignore: Ignored) -> tuple[ProjectPath, ...]:
        return tuple(sorted(find_files(self._project, static_prefix(pattern), pattern, ignore, self._places)))


class Commit:
    """What is in a commit of the repository."""

    def __init__(self, project: Project, revision: str) -> None:
        self._repository = project.repository
        self._revision = revision
        self._root = os.path.dirname(os.path.realpath(project.config))

    def rows(self, path: ProjectPath) -> bytes:
        place = os.path.normpath(os.path.join(self._root, path))
        data = content_at(self._repository, self._revision, place)
        if data is None:
            raise FileNotFoundError(errno.ENOENT, "is in no commit", path)
        return data

    def matching(self, pattern: str, ignore: Ignored) -> tuple[ProjectPath, ...]:
        paths = (os.path.relpath(path, self._root) for path in paths_at(self._repository, self._revision))
        return tuple(sorted(ProjectPath(path) for path in paths if matches(pattern, path) and path not in ignore))


def parse_with_parts(project: Project, text: bytes, data: Data) -> PipelineFile:
    """Read a pipeline file and its parts; raises `ConfigError` with every complaint."""
    file = os.path.basename(project.config)
    return parse(text, file=file, profiles=project.profiles, parts=parts_at(project, text, data))


def files_of(project: Project) -> list[str]:
    """Return the pipeline file and its parts, relative to the root, as far as they can be read."""
    with open(project.config, "rb") as file:
        parts = parts_at(project, file.read(), Disk(project))
    found = (path for path, text in parts.items() if isinstance(text, bytes))
    return [os.path.basename(project.config), *found]


def parts_at(project: Project, text: bytes, data: Data) -> dict[str, bytes | Unreadable]:
    """Read the parts that a pipeline file names, in its order; of a glob in that of their paths."""
    try:
        patterns = parts_in(text)
    except ValueError:
        return {}
    found: dict[str, bytes | Unreadable] = {}
    places: dict[str, str] = {}
    for pattern in patterns:
        paths = data.matching(pattern, Ignored(())) if is_glob(pattern) else (ProjectPath(pattern),)
        if not paths:
            found[pattern] = Unreadable("matches no file")
        for path in paths:
            place = os.path.realpath(project.absolute(path))
            if path in found or (is_glob(pattern) and path == os.path.basename(project.config)):
                continue
            repository = os.path.realpath(project.repository)
            if not place.startswith(f"{repository}/"):
                found[path] = Unreadable("is not inside the repository")
            elif git_root(os.path.dirname(place)) not in {None, repository}:
                found[path] = Unreadable("is in another repository")
            elif (other := places.setdefault(place, path)) != path:
                found[path] = Unreadable(f"is the same file as `{other}`")
            else:
                found[path] = rows_at(path, data)
    return found


def found_for(file: PipelineFile, data: Data, overrides: Mapping[str, Value], known: Found | None = None) -> Found:
    """Read all that the instances of a pipeline come from, but for what tasks may make: of that, what is known."""
    paths, patterns = file.data()
    made, known, ignore = file.makeable(overrides), known or Found(), Ignored(file.ignored)
    rows: dict[str, bytes | Unreadable] = {path: rows_at(path, data) for path in paths if path not in made}
    files: dict[str, tuple[ProjectPath, ...]] = {
        each.glob: data.matching(each.glob, ignore) for each in patterns if each.glob not in made
    }
    return Found(
        rows={**rows, **{path: data for path, data in known.rows.items() if path in made}},
        files={**files, **{glob: paths for glob, paths in known.files.items() if glob in made}},
        awaited=made - known.rows.keys() - known.files.keys(),
    )


def found_in_place(file: PipelineFile, data: Data) -> Found:
    """Read all that the instances of a pipeline come from as it is, also what tasks have made."""
    paths, patterns = file.data()
    ignore = Ignored(file.ignored)
    return Found(
        rows={path: rows_at(path, data) for path in paths},
        files={each.glob: data.matching(each.glob, ignore) for each in patterns},
    )


def pipeline_on_disk(project: Project, text: bytes) -> Pipeline:
    """Expand a pipeline file without its notebooks, as far as what instances come from is there.

    Raises `ConfigError` with every complaint.
    """
    data = Disk(project)
    file = parse_with_parts(project, text, data)
    there = found_in_place(file, data)
    rows = {path: content for path, content in there.rows.items() if isinstance(content, bytes)}
    return expand(file, {}, {}, found_for(file, data, {}, known=replace(there, rows=rows)))


def rows_at(path: ProjectPath, data: Data) -> bytes | Unreadable:
    """Read a file with rows."""
    try:
        return data.rows(path)
    except FileNotFoundError:
        return Unreadable("does not exist")
    except OSError as error:
        return Unreadable(f"cannot be read: {error.strerror}")
