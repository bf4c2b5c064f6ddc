"""`nbdag build`: a request becomes a run, from the lock to the record."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Sequence

from nbmake_dag import __version__
from nbmake_dag.build.listener import Listener, RunStart
from nbmake_dag.build.lock import build_lock
from nbmake_dag.build.loop import Loop
from nbmake_dag.build.outcome import RunOutcome
from nbmake_dag.build.pool import Pool
from nbmake_dag.build.prepare import Prepared, Stores, prepare
from nbmake_dag.build.recorder import Recorder
from nbmake_dag.build.request import Request
from nbmake_dag.build.resources import refuse_what_never_fits, usable_cpus
from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Verdict, plan
from nbmake_dag.core.schedule import Schedule
from nbmake_dag.execute.aside import recover
from nbmake_dag.observe.project import Project
from nbmake_dag.record.dirty import is_dirty
from nbmake_dag.record.export import Exporter, exporters_wanted
from nbmake_dag.record.identity import new_run_id, new_trace_id
from nbmake_dag.record.resource import run_resource
from nbmake_dag.record.writer import RunHeader, RunWriter


def build(
    project: Project, request: Request, listeners: Sequence[Listener], *, waiting: Callable[[str], None]
) -> RunOutcome:
    """Bring the targets up to date; raises `NbdagError` for what is wrong before anything runs."""
    started = time.time_ns()
    with build_lock(project, wait=request.wait, waiting=waiting):
        for path in recover(project.state):
            waiting(f"an interrupted build left {path}")
        stores = Stores.open(project)
        try:
            return _build(project, request, stores, listeners, started)
        finally:
            stores.close()


def plan_of(project: Project, request: Request) -> dict[TaskName, Verdict]:
    """Say of each task what is known before anything runs; nothing is locked, and nothing but memos written."""
    stores = Stores.open(project)
    try:
        prepared = prepare(project, request, stores)
    finally:
        stores.close()
    return plan(prepared.graph, prepared.facts, prepared.rules)


def _build(
    project: Project, request: Request, stores: Stores, listeners: Sequence[Listener], started: int
) -> RunOutcome:
    prepared = prepare(project, request, stores)
    jobs = request.jobs or usable_cpus()
    address = request.ray_address or prepared.pipeline.ray.address or prepared.variables.get("RAY_ADDRESS")
    if address is None:
        refuse_what_never_fits(prepared.graph, os.path.basename(project.config))
    events: queue.SimpleQueue[object] = queue.SimpleQueue()
    pool = Pool(
        mode=request.executor,
        jobs=jobs,
        address=address,
        runtime_env=prepared.pipeline.ray.runtime_env,
        env=prepared.variables,
        sink=events.put,
    )
    try:
        executes = _something_runs(prepared)
        if executes:
            pool.start_first()
        warnings: list[str] = []
        header = _header(prepared, request, started, executes=executes)
        wanted = exporters_wanted(prepared.variables)
        exporter = Exporter(wanted, header.resource, warn=warnings.append) if wanted else None
        writer = RunWriter(project.runs, header, warn=warnings.append, exporter=exporter)
        everyone = (Recorder(writer), *listeners)
        start = RunStart(
            run_id=writer.header.run_id,
            started=started,
            project=project,
            pipeline=prepared.pipeline,
            graph=prepared.graph,
            durations=stores.last.durations(),
            jobs=jobs,
        )
        for listener in everyone:
            listener.begun(start)
        for path in prepared.ignored:
            for listener in everyone:
                listener.said(f"warning: {path} was left by a task that no longer exists; no glob matches it")
        schedule = Schedule(prepared.graph, prepared.facts, prepared.rules, keep_going=request.keep_going)
        loop = Loop(
            prepared,
            stores,
            schedule,
            pool=pool,
            events=events,
            writer=writer,
            listeners=everyone,
            writes_cache=request.writes_cache,
        )
        outcome = loop.run()
        outcome.folder = writer.directory
        outcome.duration_s = (time.time_ns() - started) / 1e9
        for listener in everyone:
            for warning in warnings:
                listener.said(f"warning: {warning}")
            listener.finished(outcome)
        return outcome
    finally:
        pool.close()


def _something_runs(prepared: Prepared) -> bool:
    verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    return not all(isinstance(verdict, (UpToDate, Restorable)) for verdict in verdicts.values())


def _header(prepared: Prepared, request: Request, started: int, *, executes: bool) -> RunHeader:
    trace_id = new_trace_id()
    run_id = new_run_id(started, trace_id)
    project, environ = prepared.project, prepared.variables
    return RunHeader(
        run_id=run_id,
        trace_id=trace_id,
        pipeline=prepared.pipeline.name,
        started=started,
        resource=run_resource(
            pipeline=prepared.pipeline.name,
            run_id=run_id,
            version=__version__,
            root=project.root,
            repository=project.repository,
            environ=environ,
            dirty=is_dirty(project.repository) if executes else None,
        ),
        parameters=request.overrides,
        targets=request.targets,
        traceparent=environ.get("TRACEPARENT", ""),
    )
