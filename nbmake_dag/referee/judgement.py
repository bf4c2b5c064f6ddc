"""Judge one task: what it made again beside what was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import assert_never

import msgspec

from nbmake_dag.core.model import CompareRule, MetricSettings
from nbmake_dag.referee.cell_outputs import first_difference
from nbmake_dag.referee.comparators import Differs, Same, Within, compare
from nbmake_dag.referee.order import metrics_of
from nbmake_dag.referee.readers import MissingLibraryError
from nbmake_dag_cache.record import Output, OutputFile, Record
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.compare import Declared, Verdict, judge
from nbmake_dag_reporting.schema import FIGURE_SCRIPT
from nbmake_dag_reporting.verdict import Difference, TaskJudgement

LARGEST = 64 << 20
"""Bytes of a file above which only its bytes are compared: its values would take many times the memory."""

Read = Callable[[str], bytes | None]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the results of one task are compared."""

    outputs: Mapping[str, CompareRule] = {}
    metrics: Mapping[str, MetricSettings] = {}
    cells: tuple[CellRef, ...] = ()
    """Those of a notebook that count."""
    notebook: str = ""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What differs, and what differs within tolerance."""

    differences: tuple[Difference, ...] = ()
    within: tuple[str, ...] = ()

    @property
    def verdict(self) -> TaskJudgement:
        return "differs" if self.differences else "equal" if self.within else "identical"


def judged(before: Record, after: Record, rules: Rules, read: Read) -> Judged:
    """Compare two results of one task; ``read`` returns a blob, ``None`` for one that is no longer stored."""
    differences: list[Difference] = []
    within: list[str] = []
    made = {output.path: output for output in after.outputs}
    for output in before.outputs:
        rule = rules.outputs.get(output.path, CompareRule())
        for path, found in _unequal_files(output, made.get(output.path), rule, read):
            match found:
                case Within(most=most):
                    within.append(f"{path}: {most}")
                case Differs(where=where):
                    differences.append(Difference(kind="output", name=path, where=where))
                case Same():
                    within.append(f"{path}: its values are equal")
                case _:
                    assert_never(found)
    for name, where, is_close in _unequal_metrics(before, after, rules.metrics):
        if is_close:
            within.append(f"metric {name}: {where}")
        else:
            differences.append(Difference(kind="metric", name=name, where=where))
    differences += _unequal_artifacts(before, after, read)
    if where := _unequal_cells(before, after, rules.cells, read):
        differences.append(Difference(kind="cell", name=rules.notebook, where=where))
    return Judged(differences=tuple(differences), within=tuple(within))


def _unequal_files(
    before: Output, after: Output | None, rule: CompareRule, read: Read
) -> Iterator[tuple[str, Same | Within | Differs]]:
    """Yield the files of an output whose bytes differ, each with how much that is."""
    if after is None:
        yield before.path, Differs(where="it was not made")
        return
    if before.digest == after.digest:
        return
    old, new = ({file.path: file for file in output.files} for output in (before, after))
    for path in [*old, *(path for path in new if path not in old)]:
        if path not in new:
            yield path, Differs(where="it was not made")
        elif path not in old:
            yield path, Differs(where="it was not there before")
        elif old[path].digest != new[path].digest:
            yield path, _compared(old[path], new[path], rule, read)
    if before.folders != after.folders:
        yield before.path, Differs(where="its empty folders")


def _compared(before: OutputFile, after: OutputFile, rule: CompareRule, read: Read) -> Same | Within | Differs:
    if before.executable != after.executable:
        return Differs(where="whether it can be executed")
    if max(before.size, after.size) > LARGEST:
        return Differs(where=f"its bytes; above {LARGEST >> 20} MB nothing else is compared")
    old, new = read(before.sha256), read(after.sha256)
    if old is None or new is None:
        return Differs(where="its bytes; those that were recorded are no longer stored")
    try:
        return compare(old, new, before.path, rule)
    except MissingLibraryError as error:
        return Differs(where=f"its bytes; {error}")


def _unequal_metrics(
    before: Record, after: Record, declared: Mapping[str, MetricSettings]
) -> Iterator[tuple[str, str, bool]]:
    """Yield the metrics that differ, each with both values, and whether they are within the declared tolerance."""
    old, new = metrics_of(before), metrics_of(after)
    for name in [*old, *(name for name in new if name not in old)]:
        a, b = old.get(name), new.get(name)
        if judge(a, b, Declared()) is not Verdict.SAME:
            settings = declared.get(name, MetricSettings())
            is_close = judge(a, b, Declared(tolerance=settings.tolerance)) is Verdict.SAME
            yield name, f"{_number(a)} → {_number(b)}", is_close


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.17g}" if value % 1 else f"{value:g}"


def _unequal_artifacts(before: Record, after: Record, read: Read) -> Iterator[Difference]:
    old, new = (
        {name: one for name, one in record.logged.artifacts.items() if one.media_type != FIGURE_SCRIPT}
        for record in (before, after)
    )
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            where = "it was not logged"
        elif name not in old:
            where = "it was not there before"
        elif old[name].sha256 == new[name].sha256:
            continue
        else:
            is_small = max(old[name].size, new[name].size) <= LARGEST
            a, b = (read(each[name].sha256) if is_small else None for each in (old, new))
            found = compare(a, b, name, CompareRule()) if a is not None and b is not None else None
            where = found.where if isinstance(found, Differs) else "its bytes"
        yield Difference(kind="artifact", name=name, where=where)


def _unequal_cells(before: Record, after: Record, cells: Sequence[CellRef], read: Read) -> str:
    if before.cells is None or after.cells is None or before.cells == after.cells:
        return ""
    old, new = read(before.cells), read(after.cells)
    return first_difference(old, new, cells) if old is not None and new is not None else ""
