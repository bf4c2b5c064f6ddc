"""An explanation in words, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from nbmake_dag.commands.explained import Explained
from nbmake_dag.commands.run_text import moment, table
from nbmake_dag.commands.verdicts import describe_plan, reasons_of, status_of
from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.reasons import describe
from nbmake_dag.progress.text import fit, plain
from nbmake_dag.progress.time_spans import precise
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.record import Record

_DIGEST = re.compile(r"[0-9a-f]{32}")
_SHORT = 12
_LONGEST = 80
_MOST_LINES = 30


def lines(found: Explained) -> Iterator[str]:
    """Yield the verdict as `nbdag status` has it, what changed, and every ingredient."""
    verdict = found.explanation.verdict
    if isinstance(verdict, UpToDate):
        yield f"up to date  {found.task.name}"
    else:
        yield next(iter(describe_plan({found.task.name: verdict})))
    if isinstance(verdict, (UpToDate, Restorable)):
        yield f"  {_produced(verdict.record)}"
    yield ""
    yield from _changes(found)
    yield ""
    yield "what decides its result (* changed):"
    changed = _changed(found)
    yield from table(
        [
            {
                "mark": "*" if (item.kind, item.name) in changed else " ",
                "kind": item.kind,
                "name": fit(plain(_name(found, item)), _LONGEST),
                "value": fit(plain(_short(item.value)), _LONGEST),
            }
            for item in found.explanation.ingredients
        ]
    )
    if found.explanation.waits_for:
        yield f"  and what comes from {', '.join(map(plain, found.explanation.waits_for))}, once that has run"


def document(found: Explained) -> dict[str, Any]:
    """Give all of it as JSON; digests are whole."""
    explanation = found.explanation
    hit = explanation.verdict if isinstance(explanation.verdict, (UpToDate, Restorable)) else None
    changed = _changed(found)
    return {
        "task": found.task.name,
        "status": status_of(explanation.verdict),
        "reasons": list(reasons_of(explanation.verdict)),
        "record": _record_document(hit.record) if hit else None,
        "compared_with": _record_document(explanation.before) if explanation.before else None,
        "against": found.against,
        "changes": [
            {
                "kind": change.kind,
                "name": change.name,
                "before": change.before,
                "now": change.now,
                "text": describe(change, found.task, found.cells),
                "diff": list(found.diffs.get(change, ())),
            }
            for change in explanation.changes
        ],
        "ingredients": [
            {**msgspec.structs.asdict(item), "changed": (item.kind, item.name) in changed}
            for item in explanation.ingredients
        ],
        "waits_for": list(explanation.waits_for),
    }


def _changes(found: Explained) -> Iterator[str]:
    before = found.explanation.before
    if before is None:
        yield "there is no earlier result to compare with"
        return
    since = f"run {found.against}" if found.against else f"its last result, of run {before.origin.run_id}"
    if not found.explanation.changes:
        yield f"nothing {'of its own ' if found.explanation.waits_for else ''}changed since {since}"
        return
    yield f"changed since {since} ({_when(before)}):"
    for change in found.explanation.changes:
        yield f"  {plain(describe(change, found.task, found.cells))}"
        diff = found.diffs.get(change, ())
        yield from (f"      {plain(line)}".rstrip() for line in diff[:_MOST_LINES])
        if len(diff) > _MOST_LINES:
            yield f"      … {len(diff) - _MOST_LINES} more lines"


def _changed(found: Explained) -> set[tuple[str, str]]:
    return {(change.kind, change.name) for change in found.explanation.changes}


def _produced(record: Record) -> str:
    accepted = ", accepted without running" if record.accepted else ""
    return f"made by run {record.origin.run_id} ({_when(record)}) in {precise(record.origin.duration_s)}{accepted}"


def _when(record: Record) -> str:
    commit = f", commit {record.origin.commit[:9]}" if record.origin.commit else ""
    return f"{moment(record.origin.started)}{commit}"


def _name(found: Explained, item: Ingredient) -> str:
    """Name an ingredient as a person would: cells by their place in the file, values by where they come from."""
    if item.kind == "cell" and int(item.name) <= len(found.cells):
        return str(found.cells[int(item.name) - 1] + 1)
    if item.kind == "read":
        task, kind, name = msgspec.json.decode(item.name, type=tuple[str, str, str | None])
        return f"{task} {kind}{'' if name is None else f'.{name}'}".strip()
    return item.name


def _short(value: str) -> str:
    return value[:_SHORT] if _DIGEST.fullmatch(value) else value


def _record_document(record: Record) -> dict[str, Any]:
    origin = msgspec.structs.asdict(record.origin)
    return {"key": record.key, "task": record.task, "accepted": record.accepted, **origin}
