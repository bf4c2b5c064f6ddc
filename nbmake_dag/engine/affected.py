"""`--affected`: choose the tasks that a branch may have changed, for CI without a cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import msgspec

from nbmake_dag.core.affected import Cause, ChangedFiles, Footprint, redeclared, touched
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import Pipeline, TaskName
from nbmake_dag.errors import ConfigError, UsageError
from nbmake_dag.observe.changes import Changes, changes_since, content_at, default_bases
from nbmake_dag.observe.ci import CiJob, ci_job
from nbmake_dag.observe.footprints import Footprints, has_pair, may_be_code, names_of
from nbmake_dag.observe.instance_data import Commit
from nbmake_dag.observe.pairs import may_pair
from nbmake_dag.observe.places import trail
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.survey import Survey


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks that changed or may have, with all below them, and what there is to say of it."""

    tasks: frozenset[TaskName]
    notes: tuple[str, ...]


_MOST_NOTES = 10


def affected_tasks(
    project: Project,
    pipeline: Pipeline,
    graph: Graph,
    survey: Survey,
    *,
    base: str,
    environ: Mapping[str, str],
    read: Callable[[bytes, Commit], Pipeline],
) -> Affected:
    """Compare with ``base``, empty for the usual one; raises `UsageError` where git cannot answer.

    ``read`` reads a pipeline, and what its instances come from, as it was, with the notebooks as they are.
    """
    bases = (base, f"origin/{base}") if base else _usual(project, ci_job(environ))
    changes = changes_since(project.repository, bases)
    root = os.path.realpath(project.root)
    paths = {os.path.relpath(path, root): path for path in changes.files}
    causes = _causes_for_all(graph, pipeline, paths, project)
    causes |= _paired_anew(project, graph, changes, paths)
    causes |= _redeclared(project, pipeline, graph, changes, read)
    prints = Footprints(survey, (*changes.known, *changes.files))
    footprints = {name: prints.of(graph.tasks[name]) for name in graph.order}
    changed = ChangedFiles(
        paths=sorted(paths),
        folders={path for path, place in paths.items() if place in changes.folders},
        code={path: names_of(path) for path, place in sorted(paths.items()) if may_be_code(place)},
        unknown=_unknown(project, changes, footprints.values()),
    )
    causes = {**touched(graph, changed, footprints), **causes}
    tasks = frozenset(graph.with_downstream(causes))
    said = f"{len(tasks)} of {len(graph.order)} tasks are affected since {changes.base} ({changes.revision[:9]})"
    return Affected(tasks=tasks, notes=(said, *_doubts(graph, causes)))


def _causes_for_all(
    graph: Graph, pipeline: Pipeline, paths: Mapping[str, str], project: Project
) -> dict[TaskName, Cause]:
    """Return why every task is affected, if there is such a reason."""
    root = os.path.realpath(project.root)
    locks = {
        os.path.relpath(step, root)
        for lock in pipeline.software.lockfiles
        for step in trail(project.absolute(lock))
    }
    if found := sorted(locks.intersection(paths)):
        return dict.fromkeys(graph.order, Cause(text=f"{found[0]} changed"))
    if found := sorted(path for path in paths if os.path.basename(path) == ".gitattributes"):
        text = f"{found[0]} changed, and with it perhaps how files are checked out"
        return dict.fromkeys(graph.order, Cause(text=text, is_certain=False))
    return {}


def _paired_anew(
    project: Project, graph: Graph, changes: Changes, paths: Mapping[str, str]
) -> dict[TaskName, Cause]:
    """Return the notebooks that may be paired with another text than before: that is what is executed."""
    found = [
        path
        for path, place in sorted(paths.items())
        if may_pair(place, partial(content_at, project.repository, changes.revision, place))
    ]
    if not found:
        return {}
    cause = Cause(text=f"{found[0]} changed, and with it perhaps which text is executed", is_certain=False)
    return {name: cause for name, task in graph.tasks.items() if has_pair(task)}


def _unknown(project: Project, changes: Changes, footprints: Iterable[Footprint]) -> dict[str, str]:
    """Return the files of which git says nothing, each with the reason."""
    found: dict[str, str] = {}
    for path in sorted({path for footprint in footprints for path in footprint.files}):
        place = os.path.normpath(os.path.join(os.path.realpath(project.root), path))
        if os.path.isfile(place) and not changes.is_known(place):
            found[path] = f"git does not tell whether {path} changed"
    return found


def _doubts(graph: Graph, causes: Mapping[TaskName, Cause]) -> Iterator[str]:
    """Yield why tasks are included that may not have changed."""
    tasks: dict[str, list[TaskName]] = {}
    for name in graph.order:
        if name in causes and not causes[name].is_certain:
            tasks.setdefault(causes[name].text, []).append(name)
    for text, names in list(tasks.items())[:_MOST_NOTES]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{more} may be affected: {text}"
    if len(tasks) > _MOST_NOTES:
        yield f"other tasks may be affected for {len(tasks) - _MOST_NOTES} more reasons"


def _usual(project: Project, job: CiJob | None) -> tuple[str, ...]:
    """Name the default commit that a branch is compared with."""
    if job is None:
        return default_bases(project.repository)
    if job.base_branch is None:
        what = f"--affected: the {job.event or 'event'} of this job has no base branch to compare with"
        raise UsageError(what, (), "name it: --affected=BASE")
    bases = (f"origin/{job.base_branch}", job.base_branch)
    return (*bases, job.base_revision) if job.base_revision else bases


def _redeclared(
    project: Project, pipeline: Pipeline, graph: Graph, changes: Changes, read: Callable[[bytes, Commit], Pipeline]
) -> dict[TaskName, Cause]:
    """Return the tasks that ``pipeline.toml`` declares anew: all where the old one cannot be read any more."""
    config = os.path.realpath(project.config)
    before = content_at(project.repository, changes.revision, config)
    name = os.path.basename(project.config)
    if before is None:
        cause = Cause(text=f"{name} was not there, or not tracked", is_certain=False)
        return dict.fromkeys(graph.order, cause)
    with open(config, "rb") as file:
        if file.read() == before and not pipeline.data and b"parts" not in before:
            return {}
    try:
        was = read(before, Commit(project, changes.revision))
        return redeclared(build_graph(was), was, graph, pipeline)
    except ConfigError:
        cause = Cause(text=f"{name} as it was cannot be read any more", is_certain=False)
        return dict.fromkeys(graph.order, cause)
