"""From a successful attempt to a record: what was used is added to the key, what changed meanwhile refuses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nbmake_dag.build.prepare import Prepared
from nbmake_dag.build.undeclared import undeclared
from nbmake_dag.core.facts import Result
from nbmake_dag.core.lookup import Identity, present_trace, read_name
from nbmake_dag.core.model import Task, TaskName
from nbmake_dag.execute.protocol import AttemptResult
from nbmake_dag.observe.survey import Survey
from nbmake_dag.record.writer import RunHeader
from nbmake_dag_cache.key import key_of
from nbmake_dag_cache.record import Origin, Record
from nbmake_dag_reporting import schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A record that could be published, or why it must not be."""

    record: Record
    unstable: tuple[str, ...] = ()
    """Inputs that changed while the task ran."""

    @property
    def instability(self) -> str:
        """What a person is told of them."""
        first, *others = self.unstable
        more = f", and {len(others)} more" if others else ""
        return f"not recorded: {first} while it ran{more}"


def origin_of(attempt: AttemptResult, header: RunHeader, span_id: str) -> Origin:
    """Say where the result of an attempt comes from; ``span_id`` is that of its task."""
    commit = header.resource.attributes.get(schema.VCS_HEAD_REVISION)
    return Origin(
        run_id=header.run_id,
        trace_id=header.trace_id,
        span_id=span_id,
        started=attempt.started,
        duration_s=(attempt.ended - attempt.started) / 1e9,
        commit=str(commit) if commit else None,
    )


def record_of(
    task: Task,
    prepared: Prepared,
    identity: Identity,
    attempt: AttemptResult,
    results: Mapping[TaskName, Result],
    origin: Origin,
    source: str | None,
) -> Execution:
    """Make the record of a successful attempt, of a notebook with the blob of its source.

    The disk is looked at once more.
    """
    after = prepared.survey.again()
    own = {(item.kind, item.name) for item in identity.ingredients}
    modules = [("module", path) for path in attempt.modules if ("module", path) not in own]
    reads = [("read", read_name(read.task, read.kind, read.name)) for read in attempt.reads]
    digests = after.module_digests(path for _, path in modules)
    used = sorted({*modules, *reads})
    trace = tuple(present_trace(task.name, used, prepared.graph, digests, results))
    record = Record(
        key=key_of((*identity.ingredients, *trace)) if trace else identity.static_key,
        static_key=identity.static_key,
        own_key=identity.own_key,
        task=task.name,
        ingredients=(*identity.ingredients, *trace),
        outputs=attempt.outputs,
        logged=attempt.logged,
        origin=origin,
        cells=attempt.cell_outputs,
        source=source,
        undeclared=undeclared(task, attempt.accesses),
        stored=task.policy.store,
    )
    changed = set(after.changed_since(task, prepared.facts[task.name].own))
    changed |= set(_changed_upstream(task, prepared, results, after))
    changed |= set(after.touched_since(attempt.started, (path for _, path in modules)))
    return Execution(record=record, unstable=tuple(sorted(changed)))


def _changed_upstream(
    task: Task, prepared: Prepared, results: Mapping[TaskName, Result], now: Survey
) -> Iterator[str]:
    """Yield the files made by tasks above that are not what those tasks left."""
    for edge in prepared.graph.edges[task.name]:
        output = results[edge.producer].outputs.get(edge.output)
        if output is not None and now.digests((edge.output,)).get(edge.output) != output.digest:
            yield f"input: {edge.output} changed"
