"""Alerts: metrics of a run beyond a limit, or worse than those before it, each as one sentence.

Which values are worse than those before them is decided as `reporting/site/src/regress.ts` marks them on the site:
`tests/reporting/golden/comparison.json` holds both to the same answers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import median
from typing import Any

from nbmake_dag_reporting.compare import Declared, Verdict, judge
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.site_index import Column, SiteIndex
from nbmake_dag_reporting.site_shard import LETTERS

_WINDOW = 8
_FEWEST = 2
_SPREADS = 3
_COMPARED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def alerts_of_site(index: SiteIndex, declared: Mapping[str, Declared]) -> list[str]:
    """Judge the metrics of the newest run by the limits, and by the runs of its branch before it."""
    if not len(index):
        return []
    rows = sorted(index.recent(), key=lambda row: (row["started"], row["id"]))
    return [
        sentence
        for column in index.columns()
        if column[0] == "metrics" and (wanted := declared.get(column[2])) and wanted.alert
        if (sentence := _of_column(index, column, rows, wanted))
    ]


def _of_column(
    index: SiteIndex, column: Column, rows: Sequence[Mapping[str, Any]], wanted: Declared
) -> str | None:
    """Judge the newest of some runs, which are in the order of their starts."""
    _, task, name = column
    values, letters = index.values(column), index.letters(task)
    newest = rows[-1]
    number = newest["number"]
    if (value := _at(values, number)) is None:
        return None
    what = f"{name} of {task}"
    if wanted.alert != "worse":
        return _beyond(what, value, wanted)
    line = [row["number"] for row in rows if _same_line(row, newest)]
    computed = [one for one in line if letters.get(one) == LETTERS["ran"]]
    before = [item for one in computed if one != number and (item := _at(values, one)) is not None]
    if number not in computed or (usual := worse_than(before, value, wanted)) is None:
        return None
    count = min(len(before), _WINDOW)
    branch = f" on {newest['branch']}" if newest["branch"] else ""
    return f"{what} is {value:.6g}: worse than {usual:.6g}, the median of the {count} runs before{branch}"


def _same_line(row: Mapping[str, Any], newest: Mapping[str, Any]) -> bool:
    return (row["branch"], row["pipeline"]) == (newest["branch"], newest["pipeline"])


def _at(values: Mapping[int, Any], number: int) -> float | None:
    """Give a value as a number; what is none, as in a damaged site, is as if it were not there."""
    with suppress(TypeError, ValueError):
        return float(values[number]) if number in values else None
    return None


def alerts_between(before: Run | None, after: Run, declared: Mapping[str, Declared]) -> list[str]:
    """Judge the metrics of a run by the limits, and by a baseline where there is one."""
    return [
        sentence
        for task in after.tasks.values()
        for name, value in task.metrics.items()
        if (wanted := declared.get(name)) and wanted.alert
        if (sentence := _between(before, task.name, name, value, wanted))
    ]


def _between(before: Run | None, task: str, name: str, value: float, wanted: Declared) -> str | None:
    what = f"{name} of {task}"
    if wanted.alert != "worse":
        return _beyond(what, value, wanted)
    old = before.tasks.get(task) if before else None
    known = old.metrics.get(name) if old else None
    if before is None or known is None or judge(known, value, wanted) is not Verdict.WORSE:
        return None
    return f"{what} is {value:.6g}: worse than {known:.6g} in run {before.id}"


def _beyond(what: str, value: float, wanted: Declared) -> str | None:
    """Compare with a limit; what is not a number is beyond each."""
    sign = wanted.alert.rstrip("0123456789.eE+- ")
    limit = float(wanted.alert.removeprefix(sign))
    if not math.isnan(value) and not _COMPARED[sign](value, limit):
        return None
    return f"{what} is {value:.6g}, and `{wanted.alert}` raises an alert"


def worse_than(before: Sequence[float], value: float, declared: Declared) -> float | None:
    """Return the usual value of those before, if a new one is worse by more than they vary and the tolerance."""
    window = [item for item in before if math.isfinite(item)][-_WINDOW:]
    if len(window) < _FEWEST or declared.direction is None:
        return None
    usual = median(window)
    spread = 1.4826 * median(abs(item - usual) for item in window)
    change = value - usual if declared.direction == "higher" else usual - value
    is_worse = math.isnan(value) or change < -max(declared.tolerance, _SPREADS * spread)
    return usual if is_worse else None
