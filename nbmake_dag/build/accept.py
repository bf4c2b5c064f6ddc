"""`nbdag build --accept`: present outputs are declared to be what the present ingredients would make."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence

from nbmake_dag.build.listener import Everyone, Listener
from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.build.prepare import Prepared, Stores, prepare
from nbmake_dag.build.recorder import Recorder
from nbmake_dag.build.request import Request
from nbmake_dag.build.run import open_writer, run_header
from nbmake_dag.build.session import run_start
from nbmake_dag.core.decide import Restorable, Stale, decide
from nbmake_dag.core.facts import Result, result_of
from nbmake_dag.core.lookup import Identity, present_trace
from nbmake_dag.core.model import Notebook, TaskName
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.protocol import Failure
from nbmake_dag.observe.project import Project
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_cache.key import key_of
from nbmake_dag_cache.record import Logged, Origin, Record


def accept(project: Project, request: Request, listeners: Sequence[Listener], started: int) -> RunOutcome:
    """Publish a record for every stale target, upstreams first, without running anything.

    The caller holds the lock. Raises `UsageError`, before anything is published, where an output does not exist or
    a task above is stale and no target.
    """
    stores = Stores.open(project)
    try:
        prepared = prepare(project, request, stores)
        header = run_header(project, request, prepared.pipeline.name, started, dirty=None)
        outcome = RunOutcome(run_id=header.run_id)
        writer = open_writer(project, header, outcome.warnings.append)
        outcomes = _decide(prepared, stores, writer, started)
        everyone = Everyone(Recorder(writer), *listeners)
        everyone.begun(run_start(prepared, stores, header, jobs=1))
        for end in outcomes:
            if end.record is not None and end.record.origin.run_id == header.run_id:
                stores.records.publish(end.record)
                stores.last.note(end.task, end.record)
            outcome.tasks[end.task] = end
            everyone.ended(end)
        outcome.folder = writer.directory
        outcome.duration_s = (time.time_ns() - started) / 1e9
        everyone.finished(outcome)
        return outcome
    finally:
        stores.close()


def _decide(prepared: Prepared, stores: Stores, writer: RunWriter, started: int) -> list[TaskOutcome]:
    results: dict[TaskName, Result] = dict(prepared.rules.left_out)
    outcomes: list[TaskOutcome] = []
    for name in prepared.graph.order:
        task = prepared.graph.tasks[name]
        decision = decide(name, prepared.graph, prepared.facts[name], results, prepared.rules)
        match decision:
            case Stale(identity=Identity() as identity, reasons=reasons) if name in prepared.targets:
                record = _accepted(name, prepared, stores, writer, identity, results, started)
                end = TaskOutcome(task=name, status="up_to_date", record=record, reasons=("accepted", *reasons))
            case Stale(reasons=reasons):
                hint = f"accept it too, or build it first: nbdag build {name}"
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
        outcomes.append(dataclasses.replace(end, notebook_source=_source(name, prepared, stores)))
    return outcomes


def _accepted(
    name: TaskName,
    prepared: Prepared,
    stores: Stores,
    writer: RunWriter,
    identity: Identity,
    results: Mapping[TaskName, Result],
    started: int,
) -> Record:
    """Make the record of a task whose present outputs are taken; what was logged before is kept."""
    task = prepared.graph.tasks[name]
    outputs = collect_outputs(
        prepared.project.root,
        [output.path for output in task.outputs],
        stores.blobs if task.policy.store else None,
    )
    if isinstance(outputs, Failure):
        raise UsageError(f"`{name}` cannot be accepted: {outputs.message}", (), "build it once")
    facts = prepared.facts[name]
    previous = facts.previous
    used = [(item.kind, item.name) for item in previous.ingredients if item.stage == "trace"] if previous else []
    trace = tuple(present_trace(name, used, prepared.graph, facts.modules, results))
    return Record(
        key=key_of((*identity.ingredients, *trace)) if trace else identity.static_key,
        static_key=identity.static_key,
        own_key=identity.own_key,
        task=name,
        ingredients=(*identity.ingredients, *trace),
        outputs=outputs,
        logged=previous.logged if previous else Logged(),
        origin=Origin(
            run_id=writer.header.run_id,
            trace_id=writer.header.trace_id,
            span_id=writer.task_span_id(name),
            started=started,
            duration_s=previous.origin.duration_s if previous else 0.0,
        ),
        cells=previous.cells if previous else None,
        source=_source(name, prepared, stores),
        accepted=True,
        stored=task.policy.store,
    )


def _source(name: TaskName, prepared: Prepared, stores: Stores) -> str | None:
    work = prepared.graph.tasks[name].work
    return prepared.survey.sources.blob(work.path, stores.blobs) if isinstance(work, Notebook) else None
