"""An explanation as text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import msgspec

from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.reasons import describe
from nbmake_dag.present.explanation import Explained
from nbmake_dag.present.run_text import moment, table
from nbmake_dag.present.text import fit, plain
from nbmake_dag.present.undeclared_text import undeclared_line
from nbmake_dag.present.units import precise
from nbmake_dag.present.verdicts import describe_failure, describe_plan
from nbmake_dag_cache.key import Ingredient, Which
from nbmake_dag_cache.record import Record
from nbmake_dag_reporting.cell_ref import cell_of

_DIGEST = re.compile(r"[0-9a-f]{32}")
_SHORT = 12
_LONGEST = 80
_MOST_LINES = 30


def lines(found: Explained, columns: int | None = None) -> Iterator[str]:
    """Yield the verdict as `nbdag status` has it, what changed, and every ingredient."""
    verdict = found.explanation.verdict
    if isinstance(verdict, UpToDate):
        yield f"up to date  {found.task.name}"
    else:
        yield next(iter(describe_plan({found.task.name: verdict})))
        if found.failed is not None and isinstance(verdict, Stale):
            yield f"  {describe_failure(found.task.name, found.failed)}"
    if isinstance(verdict, (UpToDate, Restorable)):
        yield f"  {_produced(verdict.record)}"
    yield ""
    yield from _changes(found)
    if found.undeclared:
        yield f"warning: {undeclared_line(found.task.name, found.undeclared)}"
    yield ""
    yield "ingredients of its result (* changed):"
    changed = _changed(found)
    yield from table(
        [
            {
                "mark": "*" if item.which in changed else " ",
                "kind": item.kind,
                "name": fit(plain(_name(found, item)), _LONGEST),
                "value": fit(plain(_short(item)), _LONGEST),
            }
            for item in found.explanation.ingredients
        ],
        columns,
    )
    if found.explanation.waits_for:
        yield f"  and the outputs of {', '.join(map(plain, found.explanation.waits_for))}, once that has run"


def _changes(found: Explained) -> Iterator[str]:
    before = found.explanation.before
    if before is None:
        yield "there is no earlier result to compare with"
        return
    since = f"run {found.against}" if found.against else f"its last result, of run {before.origin.run_id}"
    if not found.explanation.changes:
        yield f"nothing {'of its own ' if found.explanation.waits_for else ''}changed since {since}"
        if found.made_in and not (found.against or found.explanation.waits_for or before.accepted):
            yield f"why it ran then: `nbdag show {found.made_in.id} {shlex.quote(plain(found.task.name))}`"
        return
    yield f"changed since {since} ({_when(before)}):"
    for change in found.explanation.changes:
        yield f"  {plain(describe(change, found.task, found.cells))}"
        diff = found.diffs.get(change, ())
        yield from (f"      {plain(line)}".rstrip() for line in diff[:_MOST_LINES])
        if len(diff) > _MOST_LINES:
            yield f"      … {len(diff) - _MOST_LINES} more lines"


def _changed(found: Explained) -> set[Which]:
    return {change.which for change in found.explanation.changes}


def _produced(record: Record) -> str:
    accepted = ", accepted without running" if record.accepted else ""
    return f"made by run {record.origin.run_id} ({_when(record)}) in {precise(record.origin.duration_s)}{accepted}"


def _when(record: Record) -> str:
    commit = f", commit {record.origin.commit[:9]}" if record.origin.commit else ""
    return f"{moment(record.origin.started)}{commit}"


def _name(found: Explained, item: Ingredient) -> str:
    """Name an ingredient as a person would: cells by their place in the file, values by where they come from."""
    if item.kind == "cell" and (cell := cell_of(item.name, found.cells)):
        return str(cell.number)
    if item.kind == "read":
        task, kind, name = msgspec.json.decode(item.name, type=tuple[str, str, str | None])
        return f"{task} {kind}{'' if name is None else f'.{name}'}".strip()
    return f"{item.name}: {item.path}" if item.path else item.name


def _short(item: Ingredient) -> str:
    if item.kind == "input" and item.value == ABSENT:
        return "absent"
    return item.value[:_SHORT] if _DIGEST.fullmatch(item.value) else item.value
