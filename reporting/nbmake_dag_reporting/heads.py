"""The description of a run, from its own span or from the first of its events."""

from __future__ import annotations

from typing import Any

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.events import RunStarted
from nbmake_dag_reporting.names import below
from nbmake_dag_reporting.run import Ci, RunHead, Vcs
from nbmake_dag_reporting.spans import Attributes, Resource, Span


def head_of(directory: str, resource: Resource, span: Span | None, started: RunStarted | None) -> RunHead | None:
    """Describe a run by its span, which has everything, else by its start: then it is ``interrupted``."""
    if span is not None:
        return _by_span(directory, resource, span)
    return None if started is None else _by_start(directory, started)


def _by_span(directory: str, resource: Resource, span: Span) -> RunHead:
    at: dict[str, Any] = dict(span.attributes)
    counts: dict[str, Any] = below(at, schema.COUNT)
    return RunHead(
        id=str(resource.attributes.get(schema.RUN_ID, "")),
        directory=directory,
        trace_id=span.trace_id,
        pipeline=str(resource.attributes.get(schema.PIPELINE_NAME, "")),
        started=span.start,
        ended=span.end,
        result=at[schema.RESULT],
        exit_code=at.get(schema.EXIT_CODE),
        targets=tuple(at.get(schema.RUN_TARGETS, ())),
        profiles=tuple(at.get(schema.RUN_PROFILES, ())),
        vcs=_vcs(resource.attributes),
        ci=_ci(resource.attributes),
        parameters=below(at, schema.PARAM),
        counts=counts,
        saved_s=at.get(schema.RUN_SAVED, 0.0),
        kind=str(resource.attributes.get(schema.RUN_KIND, "")),
    )


def _by_start(directory: str, started: RunStarted) -> RunHead:
    return RunHead(
        id=started.run_id,
        directory=directory,
        trace_id=started.trace_id,
        pipeline=started.pipeline,
        started=started.time,
        ended=None,
        result="interrupted",
        exit_code=None,
        targets=tuple(started.attributes.get(schema.RUN_TARGETS, ())),
        profiles=tuple(started.attributes.get(schema.RUN_PROFILES, ())),
        vcs=_vcs(started.resource),
        ci=_ci(started.resource),
        parameters=below(started.attributes, schema.PARAM),
        kind=str(started.resource.get(schema.RUN_KIND, "")),
    )


def _vcs(resource: Attributes) -> Vcs:
    at: dict[str, Any] = dict(resource)
    return Vcs(
        repository_url=at.get(schema.VCS_REPOSITORY_URL),
        repository_name=at.get(schema.VCS_REPOSITORY_NAME),
        owner=at.get(schema.VCS_OWNER),
        provider=at.get(schema.VCS_PROVIDER),
        head_name=at.get(schema.VCS_HEAD_NAME),
        head_type=at.get(schema.VCS_HEAD_TYPE),
        head_revision=at.get(schema.VCS_HEAD_REVISION),
        base_name=at.get(schema.VCS_BASE_NAME),
        base_revision=at.get(schema.VCS_BASE_REVISION),
        merge_revision=at.get(schema.VCS_MERGE_REVISION),
        change_id=at.get(schema.VCS_CHANGE_ID),
        change_title=at.get(schema.VCS_CHANGE_TITLE),
        dirty=at.get(schema.VCS_DIRTY),
    )


def _ci(resource: Attributes) -> Ci | None:
    at: dict[str, Any] = dict(resource)
    if schema.CI_PROVIDER not in at:
        return None
    return Ci(
        provider=at[schema.CI_PROVIDER],
        url=at.get(schema.RUN_URL),
        run_id=at.get(schema.CI_RUN_ID),
        run_attempt=at.get(schema.CI_RUN_ATTEMPT),
        workflow=at.get(schema.CI_WORKFLOW),
        job=at.get(schema.CI_JOB),
        event=at.get(schema.CI_EVENT),
        actor=at.get(schema.CI_ACTOR),
    )
