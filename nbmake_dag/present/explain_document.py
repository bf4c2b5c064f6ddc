"""What `nbdag explain --json` writes: the types are its JSON Schema; digests are whole."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Struct

from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.reasons import Change, describe
from nbmake_dag.engine.state.previous_results import LastFailure
from nbmake_dag.observe.project import Project
from nbmake_dag.present.explanation import Explained
from nbmake_dag.present.verdicts import PlanStatus, codes_of, reasons_of, status_of
from nbmake_dag.referee.verdicts import last_of
from nbmake_dag_cache.key import Ingredient, Stage
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.cell_ref import cell_of
from nbmake_dag_reporting.documents import Format, described
from nbmake_dag_reporting.verdict import TaskJudgement


class RecordDocument(Struct, frozen=True, kw_only=True):
    """A result, and the execution that made it."""

    key: Annotated[str, described("the hash of all ingredients")]
    task: Annotated[str, described("the task")]
    accepted: Annotated[bool, described("whether it was accepted by hand, without running")]
    run_id: Annotated[str, described("the run that made it")]
    trace_id: Annotated[str, described("that of its OpenTelemetry trace")]
    span_id: Annotated[str, described("that of the task's span there")]
    started: Annotated[int, described("when the execution began, in nanoseconds since the epoch")]
    duration_s: Annotated[float, described("how long it took")]
    commit: Annotated[str | None, described("the commit that it saw")]
    profiles: Annotated[tuple[str, ...], described("the profiles that it was built with")]


class IngredientChange(Struct, frozen=True, kw_only=True):
    """An ingredient that is not what it was; `null` where there was none."""

    kind: Annotated[str, described("its kind: the code of the reason")]
    name: Annotated[str, described("what it is called; a cell by its place among those that count, from 1")]
    path: Annotated[str, described("the file that it is about, where the name does not say")]
    cell: Annotated[int | None, described("the index of a cell in its notebook now, from 0")]
    before: Annotated[str | None, described("the value, or its digest, in the earlier result")]
    now: Annotated[str | None, described("the value, or its digest, now")]
    text: Annotated[str, described("the reason, in words that may change")]
    diff: Annotated[tuple[str, ...], described("the lines that differ, where the old ones are still known")]


class IngredientDocument(Struct, frozen=True, kw_only=True):
    """One thing that decides the result."""

    kind: Annotated[str, described("its kind")]
    name: Annotated[str, described("what it is called; a cell by its place among those that count, from 1")]
    value: Annotated[str, described("the value, or its digest")]
    stage: Annotated[Stage, described("when it is known: at once, from tasks above, or by running")]
    path: Annotated[str, described("the file that it is about, where the name does not say")]
    changed: Annotated[bool, described("whether it is not what it was")]


class LastReplay(Struct, frozen=True, kw_only=True):
    """What the last replay of a task found."""

    id: Annotated[str, described("the run of the replay")]
    run: Annotated[str, described("the run that was replayed")]
    verdict: Annotated[TaskJudgement, described("the judgement")]
    why: Annotated[str, described("what differs first, or why it could not run")]


class ExplainDocument(Struct, frozen=True, kw_only=True):
    """The ingredients of a task's result, and what changed."""

    format: Format = 1
    task: Annotated[str, described("the task")]
    status: Annotated[
        PlanStatus, described("what a build would do: leave it, restore it, run it, or decide later")
    ]
    reasons: Annotated[tuple[str, ...], described("why, in words that may change")]
    codes: Annotated[tuple[str, ...], described("why, a code for each reason")]
    last_failure: Annotated[LastFailure | None, described("how it failed since; the cell's index counts from 0")]
    record: Annotated[RecordDocument | None, described("the result that counts, if there is one")]
    compared_with: Annotated[RecordDocument | None, described("the earlier result")]
    against: Annotated[str | None, described("the run that `--against` named")]
    changes: Annotated[tuple[IngredientChange, ...], described("what differs, the most telling first")]
    ingredients: Annotated[tuple[IngredientDocument, ...], described("all that decides the result")]
    waits_for: Annotated[tuple[str, ...], described("tasks above that run first: their results decide too")]
    last_replay: Annotated[LastReplay | None, described("what `nbdag replay` last found")] = None


def last_replay(project: Project, task: str) -> LastReplay | None:
    """Return what the last replay of a task found, if there was one."""
    found = last_of(project, task)
    if found is None:
        return None
    verdict, judged = found
    return LastReplay(id=verdict.id, run=verdict.run, verdict=judged.verdict, why=judged.why)


def explain_document(found: Explained, replayed: LastReplay | None) -> ExplainDocument:
    """Describe an explanation."""
    explanation = found.explanation
    verdict = explanation.verdict
    return ExplainDocument(
        task=found.task.name,
        status=status_of(verdict),
        reasons=reasons_of(verdict),
        codes=codes_of(verdict),
        last_failure=found.failed if isinstance(verdict, Stale) else None,
        record=_record(verdict.record) if isinstance(verdict, (UpToDate, Restorable)) else None,
        compared_with=_record(explanation.before) if explanation.before else None,
        against=found.against,
        changes=tuple(_change(change, found) for change in explanation.changes),
        ingredients=tuple(_ingredient(item, found) for item in explanation.ingredients),
        waits_for=explanation.waits_for,
        last_replay=replayed,
    )


def _change(change: Change, found: Explained) -> IngredientChange:
    cell = cell_of(change.name, found.cells) if change.kind == "cell" and change.now is not None else None
    return IngredientChange(
        kind=change.kind,
        name=change.name,
        path=change.path,
        cell=cell.index if cell else None,
        before=change.before,
        now=change.now,
        text=describe(change, found.task, found.cells),
        diff=found.diffs.get(change, ()),
    )


def _ingredient(item: Ingredient, found: Explained) -> IngredientDocument:
    changed = any(change.which == item.which for change in found.explanation.changes)
    return IngredientDocument(**msgspec.structs.asdict(item), changed=changed)


def _record(record: Record) -> RecordDocument:
    origin = msgspec.structs.asdict(record.origin)
    return RecordDocument(key=record.key, task=record.task, accepted=record.accepted, **origin)
