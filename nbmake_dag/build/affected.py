"""`--affected`: the tasks that a branch changed, for a CI system without any cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nbmake_dag.core.affected import affected, redeclared
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Pipeline, TaskName
from nbmake_dag.errors import ConfigError, UsageError
from nbmake_dag.observe.changes import Changes, changes_since, content_at, default_bases
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.survey import Survey
from nbmake_dag.record.ci import CiJob, ci_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """The tasks that changed, with all below them, and a sentence on what they were compared with."""

    tasks: frozenset[TaskName]
    said: str


def affected_tasks(
    project: Project,
    pipeline: Pipeline,
    graph: Graph,
    survey: Survey,
    *,
    base: str,
    environ: Mapping[str, str],
    read: Callable[[bytes], Pipeline],
) -> Affected:
    """Compare with ``base``, empty for the usual one; raises `UsageError` where git cannot say.

    ``read`` reads a pipeline as it was, with the notebooks as they are.
    """
    bases = (base, f"origin/{base}") if base else _usual(project, ci_job(environ))
    changes = changes_since(project.repository, bases)
    changed = {project.relative(path) for path in changes.files}
    again = (
        frozenset(graph.order) if changed.intersection(pipeline.environment.lockfiles) else frozenset[TaskName]()
    )
    if project.config in changes.files:
        again |= _redeclared(project, pipeline, changes, read)
    rests_on = {name: survey.rests_on(graph.tasks[name]) for name in graph.order}
    tasks = affected(graph, changed, rests_on, again)
    said = f"{len(tasks)} of {len(graph.order)} tasks are affected since {changes.base} ({changes.revision[:9]})"
    return Affected(tasks=tasks, said=said)


def _usual(project: Project, job: CiJob | None) -> tuple[str, ...]:
    """Name what a branch is compared with where nobody says it."""
    if job is None:
        return default_bases(project.repository)
    if job.base_branch is None:
        what = f"--affected: the {job.event} of this job names no branch to compare with"
        raise UsageError(what, (), "name it: --affected=BASE")
    bases = (f"origin/{job.base_branch}", job.base_branch)
    return (*bases, job.base_revision) if job.base_revision else bases


def _redeclared(
    project: Project, pipeline: Pipeline, changes: Changes, read: Callable[[bytes], Pipeline]
) -> frozenset[TaskName]:
    """Return the tasks that ``pipeline.toml`` declares anew: all where the old one cannot be read any more."""
    before = content_at(project.repository, changes.revision, project.config)
    try:
        return frozenset(pipeline.tasks) if before is None else redeclared(read(before), pipeline)
    except ConfigError:
        return frozenset(pipeline.tasks)
