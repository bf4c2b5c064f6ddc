"""Begin the record of a run: its header, and the writer of its spans."""

from __future__ import annotations

import os
from collections.abc import Callable

from nbmake_dag import __version__
from nbmake_dag.engine.dispatch.task_environment import driver_environment
from nbmake_dag.engine.request import Request
from nbmake_dag.observe.project import Project
from nbmake_dag.record.ids import new_run_id, new_trace_id
from nbmake_dag.record.resource import run_resource
from nbmake_dag.record.writer import RunHeader, RunWriter


def run_header(
    project: Project, request: Request, pipeline: str, started: int, *, dirty: bool | None
) -> RunHeader:
    """Describe a run that begins."""
    trace_id, trial = new_trace_id(), request.trial
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
            trial=trial,
        ),
        parameters=request.overrides,
        targets=request.asked_for,
        profiles=project.profiles,
        traceparent=os.environ.get("TRACEPARENT", ""),
    )


def open_writer(project: Project, header: RunHeader, warn: Callable[[str], None]) -> RunWriter:
    """Begin a record, and export where the ``OTEL_*`` variables ask for it."""

    def keep(value: bytes) -> str:
        from nbmake_dag_cache.blobs import BlobStore  # noqa: PLC0415 - few runs have a value that is too long

        return BlobStore(project.cache).put_bytes(value).sha256

    if not any(name.startswith("OTEL_") for name in os.environ):
        return RunWriter(project.runs, header, keep=keep, warn=warn)
    from nbmake_dag.record.export import Exporter, exporters_wanted  # noqa: PLC0415 - only where it is asked for

    wanted = exporters_wanted(os.environ)
    exporter = Exporter(wanted, header.resource, warn=warn) if wanted else None
    return RunWriter(project.runs, header, keep=keep, warn=warn, exporter=exporter)
