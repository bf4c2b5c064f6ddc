"""`nbdag build`: under the lock, either nothing has changed, or there is a session."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from nbmake_dag import __version__
from nbmake_dag.build.environment import driver_environment
from nbmake_dag.build.listener import Listener
from nbmake_dag.build.lock import build_lock
from nbmake_dag.build.outcome import RunOutcome
from nbmake_dag.build.request import Request
from nbmake_dag.build.unchanged import Unchanged, recall, signature
from nbmake_dag.execute.aside import recover
from nbmake_dag.observe.project import Project
from nbmake_dag.record.identity import new_run_id, new_trace_id
from nbmake_dag.record.resource import run_resource
from nbmake_dag.record.writer import RunHeader, RunWriter
from nbmake_dag_cache.last_used import LastUsed


def build(
    project: Project, request: Request, listeners: Sequence[Listener], *, waiting: Callable[[str], None]
) -> RunOutcome:
    """Bring the targets up to date; raises `NbdagError` for what is wrong before anything runs."""
    started = time.time_ns()
    with build_lock(project, wait=request.wait, waiting=waiting):
        for path in recover(project.state):
            waiting(f"an interrupted build left {project.relative(path)}")
        if request.takes_hits:
            environ = driver_environment()
            unchanged = recall(project, signature(project, request, environ), environ, started)
            if unchanged is not None:
                return _record_hits(project, request, unchanged, listeners, started)
        if request.accept:
            from nbmake_dag.build.accept import accept  # noqa: PLC0415 - seldom wanted

            return accept(project, request, listeners, started)
        from nbmake_dag.build.session import run_session  # noqa: PLC0415 - most builds have nothing to do

        return run_session(project, request, listeners, started)


def run_header(
    project: Project, request: Request, pipeline: str, started: int, *, dirty: bool | None
) -> RunHeader:
    """Describe a run that begins."""
    trace_id = new_trace_id()
    run_id = new_run_id(started, trace_id)
    return RunHeader(
        run_id=run_id,
        trace_id=trace_id,
        pipeline=pipeline,
        started=started,
        resource=run_resource(
            pipeline=pipeline,
            run_id=run_id,
            version=__version__,
            root=project.root,
            repository=project.repository,
            environ=driver_environment(),
            dirty=dirty,
        ),
        parameters=request.overrides,
        targets=request.asked_for,
        traceparent=os.environ.get("TRACEPARENT", ""),
    )


def open_writer(project: Project, header: RunHeader, warn: Callable[[str], None]) -> RunWriter:
    """Begin a record, and export where the ``OTEL_*`` variables ask for it."""
    if not any(name.startswith("OTEL_") for name in os.environ):
        return RunWriter(project.runs, header, warn=warn)
    from nbmake_dag.record.export import Exporter, exporters_wanted  # noqa: PLC0415 - only where it is asked for

    wanted = exporters_wanted(os.environ)
    exporter = Exporter(wanted, header.resource, warn=warn) if wanted else None
    return RunWriter(project.runs, header, warn=warn, exporter=exporter)


def _record_hits(
    project: Project, request: Request, unchanged: Unchanged, listeners: Sequence[Listener], started: int
) -> RunOutcome:
    """Record a run in which every task is up to date."""
    warnings: list[str] = []
    header = run_header(project, request, unchanged.pipeline, started, dirty=None)
    writer = open_writer(project, header, warnings.append)
    writer.started()
    writer.hits(unchanged.template, start=started, end=time.time_ns())
    writer.ended("success", 0)
    LastUsed(project.cache).note(unchanged.keys, started / 1e9)
    outcome = RunOutcome(run_id=header.run_id, folder=writer.directory, unchanged=unchanged.template.count)
    outcome.duration_s = (time.time_ns() - started) / 1e9
    for listener in listeners:
        for warning in warnings:
            listener.said(f"warning: {warning}")
        listener.finished(outcome)
    return outcome
