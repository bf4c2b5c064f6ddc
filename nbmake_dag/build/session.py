"""A build that looks at everything: plan, loop, record."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from nbmake_dag.build.listener import Everyone, Listener, RunStart
from nbmake_dag.build.loop import Loop
from nbmake_dag.build.outcome import RunOutcome
from nbmake_dag.build.pool import Pool
from nbmake_dag.build.prepare import Prepared, Stores, prepare
from nbmake_dag.build.recorder import Recorder
from nbmake_dag.build.request import Request
from nbmake_dag.build.resources import refuse_what_never_fits, refuse_what_no_node_fits, usable_cpus
from nbmake_dag.build.rests import remember_if_up_to_date
from nbmake_dag.build.retention import after_build
from nbmake_dag.build.run import open_writer, run_header
from nbmake_dag.build.share import open_sharing, readable
from nbmake_dag.build.watched import Watched
from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Verdict, plan
from nbmake_dag.core.schedule import Schedule
from nbmake_dag.execute.protocol import Cluster
from nbmake_dag.observe.project import Project
from nbmake_dag.record.dirty import is_dirty
from nbmake_dag.record.writer import RunHeader

_UNWATCHED = Watched()


def run_session(project: Project, request: Request, listeners: Sequence[Listener], started: int) -> RunOutcome:
    """Plan and carry out a build; the caller holds the lock. ``started`` in nanoseconds since the epoch."""
    stores = Stores.open(project)
    try:
        prepared = prepare(project, request, stores)
        pool = make_pool(prepared, request)
        try:
            return carry_out(prepared, request, stores, pool, listeners, started)
        finally:
            pool.close()
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


def make_pool(prepared: Prepared, request: Request) -> Pool:
    """Make the executors of a build, none of them started."""
    address = request.ray_address or prepared.pipeline.ray.address or prepared.variables.get("RAY_ADDRESS")
    return Pool(
        mode=request.executor,
        jobs=request.jobs or usable_cpus(),
        cluster=_cluster(prepared, address) if address else None,
        env=prepared.variables,
        attempts=prepared.project.attempts,
    )


def carry_out(
    prepared: Prepared,
    request: Request,
    stores: Stores,
    pool: Pool,
    listeners: Sequence[Listener],
    started: int,
    watched: Watched = _UNWATCHED,
) -> RunOutcome:
    """Build what was prepared, with executors that are left running; the caller holds the lock."""
    project = prepared.project
    verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    executes = not all(isinstance(verdict, (UpToDate, Restorable)) for verdict in verdicts.values())
    warnings: list[str] = []
    notes: list[str] = []
    sharing = None
    if not all(isinstance(verdict, UpToDate) for verdict in verdicts.values()):
        sharing = open_sharing(prepared, request, stores, post=pool.events.put, said=notes.append)
    _refuse_what_cannot_run(prepared, verdicts, pool, seeks=sharing is not None)
    if executes and sharing is None:
        # what is sought first may be found
        pool.start_first()
    dirty = is_dirty(project.repository) if executes else None
    header = run_header(project, request, prepared.pipeline.name, started, dirty=dirty)
    writer = open_writer(project, header, warnings.append)
    everyone = Everyone(Recorder(writer), *listeners)
    everyone.begun(run_start(prepared, stores, header, jobs=pool.jobs))
    notes += prepared.notes
    notes += [
        f"warning: {path} was left by a task that no longer exists; no glob matches it"
        for path in prepared.ignored
    ]
    for note in notes:
        everyone.said(note)
    schedule = Schedule(prepared.graph, prepared.facts, prepared.rules, keep_going=request.keep_going)
    loop = Loop(
        prepared,
        stores,
        schedule,
        pool=pool,
        writer=writer,
        listener=everyone,
        sharing=sharing,
        watched=watched,
    )
    outcome = loop.run()
    if sharing is not None:
        outcome.shared, trouble = sharing.finish()
        warnings += trouble
    outcome.folder = writer.directory
    outcome.duration_s = (time.time_ns() - started) / 1e9
    for warning in warnings:
        everyone.said(f"warning: {warning}")
    everyone.finished(outcome)
    keys = [end.record.key for end in outcome.tasks.values() if end.record is not None and not end.draft]
    after_build(project, prepared.pipeline, keys)
    remember_if_up_to_date(prepared, request, stores, outcome)
    return outcome


def _refuse_what_cannot_run(
    prepared: Prepared, verdicts: Mapping[TaskName, Verdict], pool: Pool, *, seeks: bool
) -> None:
    """Raise `ConfigError` for tasks that no node has room for, and for those that are certain to be refused."""
    graph, file = prepared.graph, os.path.basename(prepared.project.config)
    may_run = [name for name, verdict in verdicts.items() if not isinstance(verdict, (UpToDate, Restorable))]
    if pool.travels and may_run:
        refuse_what_no_node_fits((graph.tasks[name] for name in may_run), pool.await_nodes(), file)
    elif not seeks:
        stale = (name for name in may_run if isinstance(verdicts[name], Stale))
        refuse_what_never_fits((graph.tasks[name] for name in stale), file)


def _cluster(prepared: Prepared, address: str) -> Cluster:
    pipeline, project = prepared.pipeline, prepared.project
    remote, zones = readable(prepared)
    return Cluster(
        address=address,
        runtime_env=dict(pipeline.ray.runtime_env),
        root=project.root,
        blobs=project.cache,
        packages=pipeline.environment.packages,
        max_size=pipeline.cache.max_size,
        remote=remote,
        zones=zones,
    )


def run_start(prepared: Prepared, stores: Stores, header: RunHeader, *, jobs: int) -> RunStart:
    """Say what is known of a run that begins."""
    return RunStart(
        run_id=header.run_id,
        started=header.started,
        project=prepared.project,
        pipeline=prepared.pipeline,
        graph=prepared.graph,
        durations=stores.last.durations(),
        jobs=jobs,
    )
