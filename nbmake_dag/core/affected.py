"""The tasks that a change of files affects, found without their results.

What is uncertain counts as affected, with the reason: a build may run too much by it, never too little.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.globs import matches, may_match_below
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Input, Pipeline, Policy, Task, TaskName


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task is affected, or, if not ``is_certain``, why nobody can tell that it is not."""

    text: str
    is_certain: bool = True


class Footprint(msgspec.Struct, frozen=True, kw_only=True):
    """What a task is known to depend on before it runs. Paths are relative to the folder of ``pipeline.toml``."""

    files: frozenset[str] = frozenset()
    """Its code and inputs, and the links by which they are reached."""
    inputs: tuple[Input, ...] = ()
    """Those that are files on disk."""
    links: tuple[tuple[str, str], ...] = ()
    """Folders of inputs that are reached by a link: how the input names each, and where it really is."""
    names: frozenset[str] = frozenset()
    """What its code calls modules and scripts, and the code that these may be in turn."""
    is_opaque: bool = False
    """Some of its code imports or starts what only running tells."""


class ChangedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """``paths`` that differ, also those that are gone; each of ``folders`` stands for all that is or was in it.

    ``code`` are those of them that can be imported or started, each with the names by which code could mean it.
    ``unknown`` are files of which nobody can tell whether they differ, each with the reason.
    """

    paths: Collection[str]
    folders: Collection[str]
    code: Mapping[str, Collection[str]]
    unknown: Mapping[str, str]


def touched(
    graph: Graph, changed: ChangedFiles, footprints: Mapping[TaskName, Footprint]
) -> dict[TaskName, Cause]:
    """Return the tasks that depend on a changed file, or may, without those below them."""
    found: dict[TaskName, Cause] = {}
    for path in changed.paths:
        owner = graph.owner_of(path)
        if owner is not None:
            found.setdefault(owner, Cause(text=f"{path}, which it makes, changed"))
    for name in graph.order:
        cause = next(_causes(graph.tasks[name], changed, footprints[name]), None)
        if cause is not None and name not in found:
            found[name] = cause
    return found


def redeclared(before: Graph, was: Pipeline, after: Graph, now: Pipeline) -> dict[TaskName, Cause]:
    """Return the tasks that are new, or whose declaration, or whose tasks above, decide another result."""
    if (was.software, was.cache.epoch) != (now.software, now.cache.epoch):
        return dict.fromkeys(after.order, Cause(text="`[software]` changed"))
    found: dict[TaskName, Cause] = {}
    for name, task in after.tasks.items():
        then = before.tasks.get(name)
        if then is None or _essence(then) != _essence(task):
            found[name] = Cause(text="its declaration changed")
        elif _is_stricter(then.policy, task.policy):
            found[name] = Cause(text="its results of before may not be used any more")
        elif _made_inputs(before, name) != _made_inputs(after, name):
            found[name] = Cause(text="other tasks make its inputs")
        elif before.readable_by(name) != after.readable_by(name):
            found[name] = Cause(text="the tasks above it are others")
        elif was.ignore != now.ignore and after.external[name]:
            found[name] = Cause(text="what its inputs leave out changed")
    return found


def _causes(task: Task, changed: ChangedFiles, footprint: Footprint) -> Iterator[Cause]:
    """Yield why a task is affected, what is certain first."""
    for path in changed.paths:
        if _rests_on(path, path in changed.folders, footprint):
            yield Cause(text=f"{path} changed")
    yield from (Cause(text=text, is_certain=False) for text in _doubts(task, changed, footprint))


def _rests_on(path: str, is_folder: bool, footprint: Footprint) -> bool:  # noqa: FBT001
    places = tuple(_spellings(path, footprint.links))
    return any(_holds(path, file) for file in footprint.files) or any(
        _concerns(item, place, is_folder) for place in places for item in footprint.inputs
    )


def _doubts(task: Task, changed: ChangedFiles, footprint: Footprint) -> Iterator[str]:
    if task.is_unknown:
        yield "its instances are not known"
    if not task.policy.cache:
        yield "cache = false"
    if task.policy.max_age is not None:
        yield "git does not tell how old its result is, which has a max_age"
    for path, reason in changed.unknown.items():
        if path in footprint.files:
            yield reason
    for path, names in changed.code.items():
        if footprint.is_opaque:
            yield f"{path} changed, and what its code imports and starts is known only when it runs"
        if not footprint.names.isdisjoint(names):
            yield f"{path} changed, which its code may mean"


def _holds(path: str, file: str) -> bool:
    return path == file or file.startswith(f"{path}/")


def _spellings(path: str, links: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Yield a path, and how inputs name it that reach it by links."""
    yield path
    for named, real in links:
        if _holds(real, path):
            yield named + path[len(real) :]


def _concerns(item: Input, path: str, is_folder: bool) -> bool:  # noqa: FBT001
    """Return whether an input has a file, or could have had it, or something in a folder."""
    if item.is_glob:
        return (is_folder and may_match_below(item.path, f"{path}/")) or matches(item.path, path)
    wanted = item.path.rstrip("/")
    return _holds(path, wanted) or _holds(wanted, path)


def _made_inputs(graph: Graph, name: TaskName) -> frozenset[tuple[Input, str]]:
    return frozenset((edge.input, edge.output) for edge in graph.edges[name])


def _is_stricter(then: Policy, now: Policy) -> bool:
    return (now.cache and not then.cache) or ((now.strict or now.sandbox) and not (then.strict or then.sandbox))


def _essence(task: Task) -> Task:
    """Leave out what decides no result."""
    return replace(task, policy=Policy(), tags=frozenset(), description="", line=0)
