"""Alerts of metrics: limits, and what is worse than the runs before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag_reporting.alerts import alerts_between, worse_than
from nbmake_dag_reporting.compare import Declared
from nbmake_dag_reporting.runs import read_run
from nbmake_dag_reporting.site import SiteOptions, found_in, write_site
from tests.reporting.fabricate import Fabric, Made, executed

GOLDEN = json.loads((Path(__file__).parent / "golden" / "comparison.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["marks"])
def test_what_is_worse_is_what_the_site_marks(case: dict[str, Any]) -> None:
    """The median of the runs before, what they vary by, and the tolerance decide, as in TypeScript."""
    values = [float(value) for value in case["values"]]
    declared = Declared(**case["declared"])
    found = [
        None if worse_than(values[:place], value, declared) is None else "worse"
        for place, value in enumerate(values)
    ]
    assert found == [mark if mark == "worse" else None for mark in case["marks"]]


def alerts(fabric: Fabric, alert: str, direction: Any = "higher") -> tuple[str, ...]:
    found = found_in(str(fabric.runs), fabric.record, fabric.blob)
    declared = Declared(direction=direction, tolerance=0.01, alert=alert)
    options = SiteOptions(executed=executed, metrics={"auc": declared})
    return write_site(str(fabric.runs.parent / "site"), found, options).alerts


def test_the_newest_run_is_judged_by_those_of_its_branch(tmp_path: Path) -> None:
    """Other branches, and results that were only reused, say nothing of what is usual."""
    fabric = Fabric(tmp_path)
    for number, auc in enumerate((0.9, 0.91, 0.9, 0.92)):
        fabric.run(number, Made(name="train", metrics={"auc": auc}))
    assert alerts(fabric, "worse") == ()
    fabric.run(4, Made(name="train", metrics={"auc": 0.2}), branch="other")
    assert alerts(fabric, "worse") == ()
    fabric.run(5, Made(name="train", metrics={"auc": 0.7}))
    [sentence] = alerts(fabric, "worse")
    assert sentence == "auc of train is 0.7: worse than 0.905, the median of the 4 runs before on main"
    hit = Made(name="train", metrics={"auc": 0.7}, status="up_to_date", seconds=None, source="run-00005")
    fabric.run(6, hit)
    assert alerts(fabric, "worse") == ()


@pytest.mark.parametrize(
    ("alert", "raised"), [("< 0.9", True), ("<0.7", False), ("<=0.7", True), ("> 7e-1", False), (">=-1", True)]
)
def test_a_limit_needs_no_other_run(tmp_path: Path, alert: str, *, raised: bool) -> None:
    """It holds for a result that was reused, too."""
    fabric = Fabric(tmp_path)
    fabric.run(0, Made(name="train", metrics={"auc": 0.7}))
    expected = (f"auc of train is 0.7, and `{alert}` raises an alert",) if raised else ()
    assert alerts(fabric, alert, None) == expected


def test_what_is_no_number_is_beyond_each_limit(tmp_path: Path) -> None:
    fabric = Fabric(tmp_path)
    fabric.run(0, Made(name="train", metrics={"auc": float("nan")}))
    assert alerts(fabric, "> 5") == ("auc of train is nan, and `> 5` raises an alert",)


def test_a_run_is_judged_by_its_baseline_in_a_comparison(tmp_path: Path) -> None:
    """As the summary of a build and the comment of a pull request have it."""
    fabric = Fabric(tmp_path)
    for number, auc in enumerate((0.9, 0.7)):
        fabric.run(number, Made(name="train", metrics={"auc": auc}))
    old, new = (read_run(str(fabric.runs / f"run-0000{number}"), fabric.record) for number in range(2))
    declared = {"auc": Declared(direction="higher", alert="worse")}
    assert alerts_between(old, new, declared) == ["auc of train is 0.7: worse than 0.9 in run run-00000"]
    assert alerts_between(None, new, declared) == []
    assert alerts_between(new, old, declared) == []
