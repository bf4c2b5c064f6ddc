"""What `nbdag status --json` writes, for editors and scripts: the types are its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Struct

from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.model import Function, Notebook, Task, TaskName
from nbmake_dag.engine.session import Planned
from nbmake_dag.engine.state.previous_results import LastFailure, PreviousResults
from nbmake_dag.present.verdicts import PlanStatus, codes_of, count, reasons_of, status_of
from nbmake_dag.record.outcome import UndeclaredFile
from nbmake_dag_cache.record import Origin, Record
from nbmake_dag_reporting.documents import Format, described
from nbmake_dag_reporting.vocabulary import TaskType


class TaskStatusDocument(Struct, frozen=True, kw_only=True):
    """One task."""

    name: Annotated[str, described("`train`, or of a matrix `train[depth=3]`")]
    family: Annotated[str, described("its name in `pipeline.toml`, that all instances of a matrix share")]
    file: Annotated[str, described("the file that declares it: `pipeline.toml`, or a part of it")]
    line: Annotated[int, described("where it is in that file, from 1")]
    type: Annotated[TaskType, described("what it executes")]
    source: Annotated[str | None, described("the notebook, relative to the project, or `module:function`")]
    parameters: Annotated[dict[str, Any], described("the values that reach it")]
    upstream: Annotated[tuple[str, ...], described("the tasks that it needs directly")]
    tags: Annotated[tuple[str, ...], described("its tags")]
    check: Annotated[bool, described("whether its failure stops and skips nothing")]
    status: Annotated[
        PlanStatus, described("what a build would do: leave it, restore it, run it, or decide later")
    ]
    reasons: Annotated[tuple[str, ...], described("why, in words that may change")]
    codes: Annotated[tuple[str, ...], described("why, a code for each reason")]
    key: Annotated[str | None, described("the key of the result that counts")]
    duration_s: Annotated[float | None, described("how long the execution took that made it")]
    attempts: Annotated[int, described("0: nothing was executed")] = 0
    draft: Annotated[bool, described("whether its last result came from a snapshot and was not confirmed")]
    last_run: Annotated[Origin | None, described("the execution that made its last result; times in nanoseconds")]
    waits_for_pool: Annotated[str | None, described("the pool that it waits for in the build under way")]
    last_failure: Annotated[LastFailure | None, described("how it failed since; the cell's index counts from 0")]
    restored_from: Annotated[
        str | None, described("the run as of which `nbdag restore` put its outputs in place, until it is built")
    ]
    undeclared: Annotated[tuple[UndeclaredFile, ...], described("files that its last result used undeclared")]


class StatusDocument(Struct, frozen=True, kw_only=True):
    """All tasks that were asked for, and what they need."""

    format: Format = 1
    saved_s: Annotated[float, described("how long the executions took that made the results that count")]
    counts: Annotated[dict[str, int], described("tasks by status, and their `total`")]
    tasks: Annotated[tuple[TaskStatusDocument, ...], described("in the order of a build")]


def status_document(found: Planned, previous: PreviousResults, waits: Mapping[str, str]) -> StatusDocument:
    """Describe a plan; ``waits`` has the pools that tasks of the build under way wait for."""
    hits = [verdict.record for verdict in found.verdicts.values() if isinstance(verdict, (UpToDate, Restorable))]
    return StatusDocument(
        saved_s=sum(record.origin.duration_s for record in hits),
        counts={"total": len(found.verdicts), **count(found.verdicts)},
        tasks=tuple(_task(name, found, previous, waits.get(name)) for name in found.verdicts),
    )


def _task(name: TaskName, found: Planned, previous: PreviousResults, pool: str | None) -> TaskStatusDocument:
    verdict, graph = found.verdicts[name], found.prepared.graph
    task = graph.tasks[name]
    hit = verdict.record if isinstance(verdict, (UpToDate, Restorable)) else None
    last: Record | None = hit or found.prepared.facts[name].previous
    return TaskStatusDocument(
        name=name,
        family=task.family,
        file=task.file,
        line=task.line,
        type=task.type,
        source=_source(task),
        parameters=dict(task.parameters),
        upstream=tuple(graph.upstream[name]),
        tags=tuple(sorted(task.tags)),
        check=task.policy.check,
        status=status_of(verdict),
        reasons=reasons_of(verdict),
        codes=codes_of(verdict),
        key=hit.key if hit else None,
        duration_s=hit.origin.duration_s if hit else None,
        draft=name in found.drafts,
        last_run=last.origin if last else None,
        waits_for_pool=pool,
        last_failure=None if hit else previous.failure(name),
        restored_from=previous.restored_from(name),
        undeclared=found.undeclared.get(name, ()),
    )


def _source(task: Task) -> str | None:
    match task.work:
        case Notebook(path=path, paired=paired):
            return paired or path
        case Function(module=module, qualname=qualname):
            return f"{module}:{qualname}"
        case _:
            return None
