"""`nbdag build --accept`: record the existing outputs as the results of the current ingredients."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence

import msgspec

from nbmake_dag.core.decide import Restorable, Stale, decide
from nbmake_dag.core.facts import Result, result_of
from nbmake_dag.core.lookup import Made, TaskKeys, present_trace
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.engine.prepare import Prepared, prepare
from nbmake_dag.engine.recording import open_writer, run_header
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.publish import with_digests
from nbmake_dag.engine.session import run_start
from nbmake_dag.engine.state.rescued_files import note_rescued, rescue_files
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.collect import collect_outputs, holding_secrets
from nbmake_dag.execute.protocol import Failure
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome
from nbmake_dag.record.run_events import Broadcast, Listener, Notice, RunEnded, TaskEnded
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_cache.record import Access, Logged, Origin, Output, Record, RecordTooLargeError


def accept(project: Project, request: Request, listeners: Sequence[Listener], started: int) -> RunOutcome:
    """Publish a record for every stale target, upstreams first, without running anything.

    The caller holds the lock. Raises `UsageError`, before anything is published, where an output does not exist or
    a task above is stale and no target.
    """
    stores = Stores.open(project)
    try:
        prepared = prepare(project, request, stores, fetches=True)
        header = run_header(project, request, prepared.pipeline.name, started, dirty=None)
        outcome = RunOutcome(run_id=header.run_id)
        warnings: list[str] = []
        writer = open_writer(project, header, warnings.append)
        outcomes = _decide(prepared, stores, writer, started)
        everyone = Broadcast(writer, *listeners)
        everyone.notify(run_start(prepared, request, stores, header, jobs=1))
        for note in (*prepared.lines, *(f"warning: {text}" for text in stores.warnings)):
            everyone.notify(Notice(text=note))
        for end in outcomes:
            if end.record is not None and end.record.origin.run_id == header.run_id:
                _keep(prepared, stores, end.task)
                try:
                    stores.records.publish(end.record)
                except RecordTooLargeError as error:
                    raise UsageError(f"`{end.task}` cannot be accepted: {error}") from error
                stores.previous.note(end.task, end.record)
            outcome.tasks[end.task] = end
            everyone.notify(TaskEnded(outcome=end))
        outcome.folder = writer.directory
        outcome.duration_s = (time.time_ns() - started) / 1e9
        for warning in warnings:
            everyone.notify(Notice(text=f"warning: {warning}"))
        everyone.notify(RunEnded(outcome=outcome))
        return outcome
    finally:
        stores.close()


def _decide(prepared: Prepared, stores: Stores, writer: RunWriter, started: int) -> list[TaskOutcome]:
    results: dict[TaskName, Result] = dict(prepared.rules.left_out)
    outcomes: list[TaskOutcome] = []
    # also with --cache=write: a true record is not replaced
    rules = msgspec.structs.replace(prepared.rules, use_records=True)
    for name in prepared.graph.order:
        task = prepared.graph.tasks[name]
        if task.is_unknown:
            hint = f"build or accept {' and '.join(prepared.graph.upstream[name])} first"
            raise UsageError(f"nobody knows the instances of `{task.family}` yet", (), hint)
        decision = decide(name, prepared.graph, prepared.facts[name], results, rules)
        match decision:
            case Stale(keys=TaskKeys() as keys, reasons=reasons, codes=codes) if name in prepared.targets:
                record = _accepted(name, prepared, stores, writer, keys, results, started)
                end = TaskOutcome(
                    task=name,
                    status="up_to_date",
                    record=record,
                    reasons=("accepted", *reasons),
                    codes=("accepted", *codes),
                )
            case Stale(reasons=reasons):
                hint = f"accept it too, or build it first: nbdag build {shlex.quote(name)}"
                raise UsageError(
                    f"`{name}` is stale, and what is below it cannot be accepted", (("why", reasons[0]),), hint
                )
            case Restorable(record=record, missing=missing):
                facts = (("which", ", ".join(missing)),)
                raise UsageError(f"outputs of `{name}` are not as they were made", facts, "build it first")
            case _:
                record = decision.record
                end = TaskOutcome(task=name, status="up_to_date", record=record)
        results[name] = result_of(record, task.parameters)
        outcomes.append(msgspec.structs.replace(end, notebook_source=_source(name, prepared, stores)))
    return outcomes


def _accepted(
    name: TaskName,
    prepared: Prepared,
    stores: Stores,
    writer: RunWriter,
    keys: TaskKeys,
    results: Mapping[TaskName, Result],
    started: int,
) -> Record:
    """Make the record of a task whose present outputs are taken; what was logged before is kept."""
    task = prepared.graph.tasks[name]
    outputs = _outputs(task, prepared, stores)
    facts = prepared.facts[name]
    previous = facts.previous
    used = previous.trace if previous else ()
    trace = tuple(present_trace(name, used, prepared.graph, facts.modules, results))
    made = Made(
        outputs=outputs,
        logged=previous.logged if previous else Logged(),
        cells=previous.cells if previous else None,
        injected=previous.injected if previous else None,
        undeclared=_undeclared(task, previous, prepared),
        code=previous.made if previous else (),
    )
    origin = Origin(
        run_id=writer.header.run_id,
        trace_id=writer.header.trace_id,
        span_id=writer.task_span_id(name),
        started=started,
        duration_s=previous.origin.duration_s if previous else 0.0,
        profiles=writer.header.profiles,
    )
    return keys.record(task, trace, made, origin, source=_source(name, prepared, stores), accepted=True)


def _undeclared(task: Task, previous: Record | None, prepared: Prepared) -> tuple[Access, ...]:
    """Return what the last result used without declaring it, as it is now; nothing where that is forbidden."""
    if previous is None or task.policy.strict or task.policy.sandbox:
        return ()
    return tuple(with_digests(previous.undeclared, prepared.survey))


def _keep(prepared: Prepared, stores: Stores, name: TaskName) -> None:
    """Keep for good those bytes of present outputs that no task made, since no task can make them again."""
    facts = prepared.facts[name]
    known = [record for record in (*facts.records, facts.previous) if record and not record.accepted]
    paths = [output.path for output in prepared.graph.tasks[name].outputs]
    ours = stores.previous.files(name)
    note_rescued(prepared.project, rescue_files(prepared.project, stores.blobs, paths, known, ours))


def _outputs(task: Task, prepared: Prepared, stores: Stores) -> tuple[Output, ...]:
    """Take the present outputs; raises `UsageError` for what is missing, and for what holds a secret."""
    root, declared = prepared.project.root, [output.path for output in task.outputs]
    redactor = Redactor(prepared.survey.secrets)
    store = stores.blobs if task.policy.store else None
    outputs = collect_outputs(root, declared, None if redactor else store)
    if not isinstance(outputs, Failure) and redactor:
        for found in holding_secrets(outputs, root, redactor):
            raise UsageError(f"`{task.name}` cannot be accepted: {found}")
        outputs = collect_outputs(root, declared, store)
    if isinstance(outputs, Failure):
        raise UsageError(f"`{task.name}` cannot be accepted: {outputs.message}", (), "build it once")
    return outputs


def _source(name: TaskName, prepared: Prepared, stores: Stores) -> str | None:
    work = prepared.graph.tasks[name].work
    if not isinstance(work, Notebook):
        return None
    redactor = Redactor(prepared.survey.secrets)
    if redactor.name_in(prepared.project.absolute(work.path), work.path):
        return None
    return prepared.survey.sources.blob(work, stores.blobs)
