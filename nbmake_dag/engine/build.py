"""`nbdag build`: under the lock, check whether anything changed, else run a session."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nbmake_dag.engine.dispatch.task_environment import driver_environment
from nbmake_dag.engine.noop import Unchanged, recall, signature
from nbmake_dag.engine.recording import open_writer, run_header
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.daily import is_look_due
from nbmake_dag.engine.state.lock import build_lock
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RunOutcome
from nbmake_dag.record.run_events import Listener, Notice, RunEnded, UndeclaredFound
from nbmake_dag_cache.last_used import LastUsed


def build(
    project: Project, request: Request, listeners: Sequence[Listener], *, waiting: Callable[[str], None]
) -> RunOutcome:
    """Bring the targets up to date; raises `NbdagError` for what is wrong before anything runs."""
    started = time.time_ns()
    with build_lock(project, wait=request.wait, waiting=waiting) as lock:
        if request.takes_hits:
            unchanged = recall(
                project,
                signature(project, request),
                driver_environment(),
                started,
                warn=lambda text: waiting(f"warning: {text}"),
            )
            # once a day a build looks at everything, and afterwards at whether too much is kept
            if unchanged is not None and not is_look_due(project):
                return _record_hits(project, request, unchanged, listeners, started)
        if request.accept:
            from nbmake_dag.engine.accept import accept  # noqa: PLC0415 - seldom wanted

            return accept(project, request, listeners, started)
        from nbmake_dag.engine.session import run_session  # noqa: PLC0415 - most builds have nothing to do

        return run_session(project, request, listeners, started, lock, waiting)


def fetch(project: Project, request: Request, *, waiting: Callable[[str], None]) -> tuple[str, ...]:
    """Bring the copies of remote inputs up to date, and run nothing; return what there is to say."""
    from nbmake_dag.engine.prepare import prepare  # noqa: PLC0415 - seldom wanted
    from nbmake_dag.engine.state.stores import Stores  # noqa: PLC0415 - likewise

    with build_lock(project, wait=request.wait, waiting=waiting):
        stores = Stores.open(project)
        try:
            return prepare(project, request, stores, fetches=True).fetched or ("all remote inputs are here",)
        finally:
            stores.close()


def _record_hits(
    project: Project, request: Request, unchanged: Unchanged, listeners: Sequence[Listener], started: int
) -> RunOutcome:
    """Record a run in which every task is up to date."""
    warnings = list(unchanged.warnings)
    header = run_header(project, request, unchanged.pipeline, started, dirty=None)
    writer = open_writer(project, header, warnings.append)
    writer.started()
    writer.hits(unchanged.hits, start=started, end=time.time_ns())
    writer.ended("success", 0)
    LastUsed(project.cache).note((key for _, key in unchanged.records), started / 1e9)
    outcome = RunOutcome(run_id=header.run_id, folder=writer.directory, unchanged=unchanged.hits.count)
    outcome.duration_s = (time.time_ns() - started) / 1e9
    for listener in listeners:
        for warning in warnings:
            listener.notify(Notice(text=f"warning: {warning}"))
        for task, files in unchanged.undeclared.items():
            listener.notify(UndeclaredFound(task=task, files=files))
        listener.notify(RunEnded(outcome=outcome))
    return outcome
