"""Leftovers: files that tasks made and that no task makes any more, moved away before anything runs.

Commands and notebooks list folders themselves, so that a leftover would reach results even where no glob matched
it. A file is a leftover only if a record here has its exact path and bytes, a blob of them is intact, git does not
track it, and no pipeline file of the folder names it, with any profile, nor code that one of its tasks runs. Any
other file is an ordinary one: it matches globs and is an input.

Ownership is shared by all pipeline files of a folder, since they share its ``.nbdag``: each of them is read as it
is now, whether it was built last or not, so that losing the state changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress

import msgspec

from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import Function, Notebook, Pipeline, ProjectPath, Task
from nbmake_dag.engine.state.lost_artifacts import is_intact
from nbmake_dag.engine.state.made_files import Made
from nbmake_dag.engine.state.pipeline_files import pipeline_files
from nbmake_dag.engine.state.rescued_files import note_rescued
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import ConfigError, UsageError
from nbmake_dag.observe.environments import lock_files
from nbmake_dag.observe.git import tracked_or_unknown
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag_cache.digest import Digest, digest_file
from nbmake_dag_cache.key import Key

_ONE = "was left by a task that no longer exists"


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """A file on disk, and the record that has it."""

    path: ProjectPath
    digest: Digest
    sha256: str
    output: str
    """The declared output that it was, or was in."""
    record: Key
    is_accepted: bool
    """Whether the record comes from `--accept` alone; no task can make these bytes again."""


class Leftovers(msgspec.Struct, frozen=True, kw_only=True):
    """What a build moves away; ``unread`` says which pipeline file cannot be read, for which everything stays."""

    files: tuple[Leftover, ...] = ()
    unread: str | None = None
    unanswered: str = ""
    """What git says where it cannot tell what it tracks, for which files stay."""
    rests_on_git: bool = False
    """Other files stay only because git tracks them, or inputs are reported because it does not."""
    of_profiles: tuple[ProjectPath, ...] = ()
    """Files that tasks of this pipeline file make with other profiles: they stay, as ordinary files."""
    inputs: tuple[ProjectPath, ...] = ()
    """Files that tasks read by their exact paths, with bytes of a task that makes them no more: they stay."""

    @property
    def digests(self) -> dict[ProjectPath, Digest]:
        return {file.path: file.digest for file in self.files}


def find_leftovers(
    project: Project,
    pipeline: Pipeline,
    graph: Graph,
    stores: Stores,
    made: Made,
    read: Callable[[str, bytes, tuple[str, ...]], Pipeline],
    code: Callable[[Pipeline, Graph], Collection[str]],
) -> Leftovers:
    """Find the leftovers of a checkout, and touch none.

    ``graph`` has all tasks of ``pipeline``, as the request overrides it, and ``made`` what records have. ``read``
    reads a pipeline file without overrides, by name, content and profiles, and raises `ConfigError`. ``code``
    returns the modules and scripts that tasks use, relative to the root. Files that decide the answer are seen by
    ``stores.files``.
    """
    there = _made_and_unnamed(project, _Names(project, pipeline, graph), made)
    inputs = _made_and_read(project, graph, made)
    if not there and not inputs:
        return Leftovers()
    # what only running shows is known from records of tasks that still exist
    used = {*code(pipeline, graph), *(path for task in graph.order for path in made.modules.get(task, ()))}
    there = {path: versions for path, versions in there.items() if path not in used}
    if not there and not inputs:
        return Leftovers()
    try:
        others = list(_pipelines(project, stores, made, read, code))
    except _UnreadError as error:
        return Leftovers(unread=str(error))
    found: list[Leftover] = []
    of_profiles: list[ProjectPath] = []
    for path, versions in there.items():
        if any(path in names for _, names in others):
            if any(names.makes(path) for name, names in others if name == os.path.basename(project.config)):
                of_profiles.append(path)
            continue
        with suppress(OSError):
            version = versions.get(stores.files.digest(project.absolute(path)))
            if version is not None and is_intact(version.sha256, stores):
                found.append(version)
    old = [
        path
        for path, digests in inputs.items()
        if not any(names.makes(path) for _, names in others)
        and stores.files.digest(project.absolute(path)) in digests
    ]
    places = {_place_of(project, leftover) for leftover in found}
    kept, refusal = tracked_or_unknown({*places, *map(project.absolute, old)})
    files = [leftover for leftover in found if _place_of(project, leftover) not in kept]
    return Leftovers(
        files=tuple(sorted(files, key=lambda leftover: leftover.path)),
        of_profiles=tuple(sorted(of_profiles)),
        inputs=tuple(sorted(path for path in old if project.absolute(path) not in kept)),
        rests_on_git=bool(kept or old),
        unanswered=refusal,
    )


def _place_of(project: Project, leftover: Leftover) -> str:
    """Return the absolute path of what is removed, links followed but for the last: of a link, the link itself.

    A task made every link in its output, whose target may be the user's.
    """
    path, above = leftover.path.rstrip("/"), os.path.dirname(leftover.path)
    while f"{above}/".startswith(leftover.output):
        path = above if os.path.islink(project.absolute(above)) else path
        above = os.path.dirname(above)
    place = project.absolute(path)
    return os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))


def move_away(
    project: Project, leftovers: Iterable[Leftover], graph: Graph, writing: Iterable[Task] = ()
) -> tuple[ProjectPath, ...]:
    """Remove leftovers, whose bytes are blobs, and return their paths; the caller holds the build lock.

    Folders that this empties go too, unless ``graph`` names them, or a task may be ``writing`` into them. A file
    that changed meanwhile stays. Raises `UsageError` for one that cannot be removed.
    """
    moved: list[ProjectPath] = []
    named = {path.rstrip("/") for task in graph.tasks.values() for path in (task.workdir, *_exact(task))}
    named.update(folder for task in writing for output in task.outputs for folder in _above(output.path))
    for leftover in leftovers:
        place = project.absolute(leftover.path)
        if leftover.is_accepted:
            note_rescued(project, [RescuedFile(path=leftover.path, sha256=leftover.sha256)])
        try:
            if digest_file(place) != leftover.digest:
                continue
            os.unlink(_place_of(project, leftover))
        except FileNotFoundError:
            continue
        except OSError as error:
            what = f"{leftover.path}, left by a task that no longer exists, cannot be removed: {error.strerror}"
            hint = "remove it, or declare it as an input by its exact path"
            raise UsageError(what, (), hint) from error
        moved.append(leftover.path)
        _remove_emptied(project, leftover, named)
    return tuple(moved)


def _above(path: str) -> Iterator[str]:
    while path := os.path.dirname(path.rstrip("/")):
        yield path


def describe_moved(moved: tuple[ProjectPath, ...]) -> str:
    """Return the line that reports files that were moved away."""
    first, *others = moved
    left = f"and {len(others)} more were left by tasks that no longer exist" if others else _ONE
    return f"moved away: {first} {left}; the cache keeps the content"


def _remove_emptied(project: Project, leftover: Leftover, named: Collection[str]) -> None:
    """Remove the folders around a file, and those of a folder output, where nothing is left in them."""
    if leftover.output.endswith("/"):
        for folder, _, _ in os.walk(project.absolute(leftover.output), topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
    above = os.path.dirname(leftover.path)
    with suppress(OSError):
        while above and above not in named:
            with suppress(FileNotFoundError):
                os.rmdir(project.absolute(above))
            above = os.path.dirname(above)


class _Names:
    """The paths that a pipeline names: outputs, exact inputs, what tasks and instances are, with ``code``."""

    def __init__(self, project: Project, pipeline: Pipeline, graph: Graph, code: Iterable[str] = ()) -> None:
        self._project = project
        self._graph = graph
        self._exact = {path for task in graph.tasks.values() for path in _exact(task)}
        self._exact |= {*pipeline.software.lockfiles, *lock_files(pipeline.tasks.values()), *pipeline.data, *code}

    def __contains__(self, path: str) -> bool:
        if self._has(path):
            return True
        place = self._project.absolute(path)
        real = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
        return self._has(self._project.relative(real))

    def is_output(self, path: str) -> bool:
        return path in self._graph.owners

    def makes(self, path: str) -> bool:
        return self._graph.owner_of(path) is not None

    def _has(self, path: str) -> bool:
        return path in self._exact or self.makes(path)


def _exact(task: Task) -> Iterator[str]:
    yield from (item.path for item in task.inputs if not item.is_glob)
    if task.policy.notebook_output is not None:
        yield task.policy.notebook_output
    match task.work:
        case Notebook(path=path):
            yield path
        case Function(module=module):
            place = module.replace(".", "/")
            yield from (f"{place}.py", f"{place}/__init__.py")
        case _:
            pass


def _made_and_unnamed(project: Project, names: _Names, made: Made) -> dict[ProjectPath, dict[str, Leftover]]:
    """Return files on disk that records have and today's pipeline does not name, by path and digest."""
    versions: dict[ProjectPath, dict[str, Leftover]] = {}
    for file in made.files:
        if names.is_output(file.output):
            continue
        leftover = Leftover(
            path=ProjectPath(file.path),
            digest=file.digest,
            sha256=file.sha256,
            output=file.output,
            record=file.record,
            is_accepted=file.is_accepted,
        )
        versions.setdefault(leftover.path, {})[file.digest] = leftover
    return {
        path: found
        for path, found in versions.items()
        if os.path.isfile(project.absolute(path)) and path not in names
    }


def _made_and_read(project: Project, graph: Graph, made: Made) -> dict[ProjectPath, set[Digest]]:
    """Return the exact inputs that no task makes and that records have, with the digests that these say."""
    read = {item.path for items in graph.external.values() for item in items if not item.is_glob}
    found: dict[ProjectPath, set[Digest]] = {}
    for file in made.files:
        if file.path in read and os.path.isfile(project.absolute(file.path)):
            found.setdefault(ProjectPath(file.path), set()).add(file.digest)
    return found


class _UnreadError(Exception):
    """A pipeline file cannot be read; the message says which, and why."""


def _pipelines(
    project: Project,
    stores: Stores,
    made: Made,
    read: Callable[[str, bytes, tuple[str, ...]], Pipeline],
    code: Callable[[Pipeline, Graph], Collection[str]],
) -> Iterator[tuple[str, _Names]]:
    """Yield what the pipeline files of the folder name, without overrides; raises `_UnreadError`.

    Each is read without a profile, with each of its own, and with those that a result here was made with together.
    """
    for file in pipeline_files(project):
        # the answer rests on it
        stores.files.digest(project.absolute(file.name))
        together = (names for names in made.profiles if len(names) > 1 and set(file.profiles).issuperset(names))
        for chosen in ((), *((name,) for name in file.profiles), *sorted(together)):
            try:
                pipeline = read(file.name, file.data, chosen)
                graph = build_graph(pipeline)
                traced = (path for task in graph.order for path in made.modules.get(task, ()))
                yield file.name, _Names(project, pipeline, graph, (*code(pipeline, graph), *traced))
            except ConfigError as error:
                if len(chosen) < 2:
                    with_it = f" with profile {chosen[0]}" if chosen else ""
                    why = str(error.complaints[0]).partition("\n")[0]
                    raise _UnreadError(f"{file.name}{with_it} cannot be read ({why})") from None
                # they go together no more
