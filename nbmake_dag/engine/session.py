"""A full build: plan, loop, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import msgspec

from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Verdict, plan
from nbmake_dag.ending_signals import handling
from nbmake_dag.engine.dispatch.resources import refuse_what_never_fits, refuse_what_no_node_fits, usable_cpus
from nbmake_dag.engine.heap import growing_heap
from nbmake_dag.engine.noop import remember_if_up_to_date
from nbmake_dag.engine.prepare import Prepared, prepare
from nbmake_dag.engine.recording import open_writer, run_header
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.ends import Ends
from nbmake_dag.engine.results.undeclared import undeclared_files
from nbmake_dag.engine.state.leftovers import describe_moved, move_away
from nbmake_dag.engine.state.lock import BuildLock
from nbmake_dag.engine.state.remembered_secrets import remember_secrets
from nbmake_dag.engine.state.rescued_files import put_damage_aside
from nbmake_dag.engine.state.retention import after_build
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import InfrastructureError, describe
from nbmake_dag.execute.executor_kind import Backend, BuildContext
from nbmake_dag.execute.executors import configured
from nbmake_dag.observe.git import is_dirty
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome, UndeclaredFile
from nbmake_dag.record.run_events import Broadcast, Listener, Notice, RunEnded, RunStarted, UndeclaredFound
from nbmake_dag.record.writer import RunHeader, RunWriter
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.vocabulary import HITS

if TYPE_CHECKING:
    from nbmake_dag.engine.dispatch.pool import Pool
    from nbmake_dag.engine.dispatch.resuming import Watched


def run_session(
    project: Project,
    request: Request,
    listeners: Sequence[Listener],
    started: int,
    lock: BuildLock,
    waiting: Callable[[str], None],
) -> RunOutcome:
    """Plan and carry out a build; the caller holds the lock. ``started`` in nanoseconds since the epoch.

    ``waiting`` is called with what a build waits for before it begins.
    """
    stores = Stores.open(project)
    try:
        prepared = prepare(project, request, stores, fetches=True)
        backends = backends_of(prepared, request)
        with ExitStack() as ended:

            def pool() -> Pool:
                made = make_pool(prepared, request, backends)
                made.say = waiting
                ended.callback(made.close)
                return made

            return carry_out(prepared, request, stores, pool, listeners, started, lock)
    finally:
        stores.close()


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """What a build would begin with."""

    prepared: Prepared
    verdicts: Mapping[TaskName, Verdict]
    undeclared: Mapping[TaskName, tuple[UndeclaredFile, ...]]
    """The files that results depend on without being declared; where no result counts, those of the last one."""
    drafts: frozenset[TaskName]
    """Tasks whose last result came from a snapshot, and was not confirmed."""


def planned(project: Project, request: Request, *, tell: Callable[[str], None] | None = None) -> Planned:
    """Return what a build would begin with; nothing is locked, and only memos are written.

    ``tell`` is called with each line that a build would print first.
    """
    stores = Stores.open(project)
    try:
        prepared = prepare(project, request, stores)
        verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
        records = {
            name: verdict.record if isinstance(verdict, (UpToDate, Restorable)) else prepared.facts[name].previous
            for name, verdict in verdicts.items()
        }
        undeclared = undeclared_files(project, stores.files, prepared.graph, records)
        drafts = frozenset(name for name in verdicts if name in stores.drafts)
    finally:
        stores.close()
    if tell is not None:
        for text in (*prepared.lines, *(f"warning: {text}" for text in stores.warnings)):
            tell(text)
    return Planned(prepared=prepared, verdicts=verdicts, undeclared=undeclared, drafts=drafts)


def backends_of(prepared: Prepared, request: Request) -> tuple[Backend, ...]:
    """Configure the executors of a build; raises `UsageError` for options that do not go together."""

    def readable_cache() -> tuple[str | None, tuple[str, ...]]:
        from nbmake_dag.engine.shared_cache.client import readable  # noqa: PLC0415 - only for what travels

        return readable(prepared)

    context = BuildContext(
        project=prepared.project,
        pipeline=prepared.pipeline,
        variables=prepared.survey.variables,
        options=request.executor_options,
        jobs=_jobs(request),
        shared_cache=readable_cache,
    )
    return configured(request.executor, context)


def make_pool(prepared: Prepared, request: Request, backends: Sequence[Backend]) -> Pool:
    """Make the executors of a build, none of them started."""
    from nbmake_dag.engine.dispatch.pool import Pool  # noqa: PLC0415 - only where something is to do

    return Pool(
        backends,
        jobs=_jobs(request),
        env=prepared.survey.variables,
        attempts=prepared.project.attempts,
    )


def _jobs(request: Request) -> int:
    return request.jobs or usable_cpus()


def carry_out(
    prepared: Prepared,
    request: Request,
    stores: Stores,
    executors: Callable[[], Pool],
    listeners: Sequence[Listener],
    started: int,
    lock: BuildLock,
    watched: Watched | None = None,
) -> RunOutcome:
    """Build what was prepared; the caller holds the lock, and ends what ``executors`` returned.

    They are asked for where something is to do: else nothing that executes is imported either.
    """
    project = prepared.project
    verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    hits = {name: verdict.record for name, verdict in verdicts.items() if isinstance(verdict, UpToDate)}
    executes = not all(isinstance(verdict, (UpToDate, Restorable)) for verdict in verdicts.values())
    warnings: list[str] = []
    notes: list[str] = []
    pool, sharing = None, None
    if len(hits) < len(verdicts):
        from nbmake_dag.engine.shared_cache.client import open_sharing  # noqa: PLC0415 - most looks find hits

        pool = executors()
        sharing = open_sharing(prepared, request, stores, jobs=pool.jobs, post=pool.events.put, said=notes.append)
        _refuse_what_cannot_run(prepared, verdicts, pool, seeks=sharing is not None)
    put_damage_aside(project, stores.warnings.append)
    if moved := move_away(project, prepared.leftovers, prepared.whole):
        notes.append(describe_moved(moved))
    if pool is not None and executes and sharing is None:
        # what is sought first may be found
        pool.start_first()
    if executes:
        remember_secrets(project, prepared.survey.secrets, stores.warnings.append)
    dirty = is_dirty(project.repository) if executes else None
    header = run_header(project, request, prepared.pipeline.name, started, dirty=dirty)
    writer = open_writer(project, header, warnings.append)
    everyone = Broadcast(writer, *listeners)
    everyone.notify(run_start(prepared, request, stores, header, jobs=_jobs(request)))
    notes += prepared.lines
    notes += [f"warning: {text}" for text in stores.warnings]
    stores.warnings.clear()
    for note in notes:
        everyone.notify(Notice(text=note))
    if pool is None:
        outcome = _note_hits(prepared, stores, everyone, RunOutcome(run_id=header.run_id), hits, lock)
    else:
        from nbmake_dag.engine.dispatch.resuming import Watched  # noqa: PLC0415 - likewise
        from nbmake_dag.engine.loop import Loop  # noqa: PLC0415 - likewise

        loop = Loop(
            prepared,
            stores,
            request,
            pool=pool,
            writer=writer,
            listener=everyone,
            sharing=sharing,
            watched=watched or Watched(),
        )
        outcome = loop.run(lock)
    if sharing is not None:
        outcome.shared, trouble = sharing.finish()
        warnings += trouble
    remind(prepared, stores, outcome, everyone)
    outcome.folder = writer.directory
    outcome.duration_s = (time.time_ns() - started) / 1e9
    for warning in (*warnings, *stores.warnings):
        everyone.notify(Notice(text=f"warning: {warning}"))
    stores.warnings.clear()
    everyone.notify(RunEnded(outcome=outcome))
    if lock.is_in_place:
        _look_after(prepared, request, stores, outcome, writer)
    return outcome


def _look_after(
    prepared: Prepared, request: Request, stores: Stores, outcome: RunOutcome, writer: RunWriter
) -> None:
    """Do what serves later builds; where the machine refuses that, this build went as it went."""
    keys = [end.record.key for end in outcome.tasks.values() if end.record is not None and not end.draft]
    keys += [leftover.record for leftover in prepared.leftovers]
    with suppress(OSError):
        # `nbdag cache gc` says what keeps a cache from being swept
        after_build(prepared.project, prepared.pipeline, keys)
    with suppress(OSError):
        remember_if_up_to_date(prepared, request, stores, outcome, writer.all_hits())


def remind(prepared: Prepared, stores: Stores, outcome: RunOutcome, listener: Listener) -> None:
    """Report the undeclared files of hits; a task that ran reported its own."""
    hits = {name: end.record for name, end in outcome.tasks.items() if end.status in HITS}
    for name, files in undeclared_files(prepared.project, stores.files, prepared.graph, hits).items():
        listener.notify(UndeclaredFound(task=name, files=files))


@growing_heap()
def _note_hits(
    prepared: Prepared,
    stores: Stores,
    listener: Listener,
    run: RunOutcome,
    hits: Mapping[TaskName, Record],
    lock: BuildLock,
) -> RunOutcome:
    """End a run in which every task is up to date, as the loop would, without what the loop needs."""
    ends = Ends(prepared, stores, listener, run)

    def note_signal(number: int) -> None:
        run.signal = run.signal or number

    with handling(note_signal):
        try:
            lock.check()
            for name, record in hits.items():
                ends.note_hit(name, "up_to_date", record)
        except (OSError, InfrastructureError) as error:
            run.error = describe(error)
            for name in prepared.graph.order:
                if name not in run.tasks:
                    ends.note(TaskOutcome(task=name, status="cancelled"))
    return run


def _refuse_what_cannot_run(
    prepared: Prepared, verdicts: Mapping[TaskName, Verdict], pool: Pool, *, seeks: bool
) -> None:
    """Raise `ConfigError` for tasks that no node has room for, and for those that are certain to be refused."""
    graph = prepared.graph
    may_run = [name for name, verdict in verdicts.items() if not isinstance(verdict, (UpToDate, Restorable))]
    if pool.travels and may_run:
        refuse_what_no_node_fits((graph.tasks[name] for name in may_run), pool.await_nodes())
    elif not seeks:
        stale = (name for name in may_run if isinstance(verdicts[name], Stale))
        refuse_what_never_fits(graph.tasks[name] for name in stale)


def run_start(prepared: Prepared, request: Request, stores: Stores, header: RunHeader, *, jobs: int) -> RunStarted:
    """Describe a run that begins."""
    return RunStarted(
        run_id=header.run_id,
        started=header.started,
        project=prepared.project,
        pipeline=prepared.pipeline,
        graph=prepared.graph,
        durations=stores.previous.durations(),
        jobs=jobs,
        parameters=request.overrides,
    )
