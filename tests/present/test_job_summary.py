"""The job summary shows first what a reviewer must see, and calls nothing changed that was not made."""

from __future__ import annotations

from pathlib import Path

from nbmake_dag.present.job_summary import Base, summary_text
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Declared
from nbmake_dag_reporting.runs import read_run
from tests.reporting.fabricate import Fabric, Made

PICTURE = {"roc.png": (b"picture", "image/png")}
DECLARED = {"auc": Declared(direction="higher", tolerance=0.01)}


def of(fabric: Fabric, run_id: str) -> Recorded:
    run = read_run(str(fabric.runs / run_id), fabric.record)
    return Recorded(run=run, blob=fabric.blob, record=fabric.record)


def summary(tmp_path: Path, before: tuple[Made, ...], after: tuple[Made, ...], result: str = "success") -> str:
    """Write the summary of a run that is compared with another one, without its diagrams."""
    fabric = Fabric(tmp_path)
    old, new = fabric.run(1, *before), fabric.run(2, *after, result=result)
    text = summary_text(of(fabric, new), Base(branch="main", recorded=of(fabric, old)), DECLARED, 1 << 20)
    return text.partition("#### Graph")[0]


def test_what_was_not_executed_did_not_change(tmp_path):
    """A task that failed, was skipped or cancelled made nothing, so that no result or metric of it differs."""
    statuses = ("failed", "skipped", "cancelled")
    made = [Made(name=name, metrics={"auc": 0.9}, params={"lr": 1}, artifacts=PICTURE) for name in statuses]
    gone = [Made(name=name, status=name, seconds=None) for name in statuses]
    assert summary(tmp_path, tuple(made), tuple(gone), "failure").partition("#### What")[2] == (
        """\
 ran, and why

| task |  | took | why |
|---|---|---|---|
| failed | ✗ failed |  |  |
| skipped | ↷ skipped |  |  |
| cancelled | - cancelled |  |  |

"""
    )


def test_metrics_that_did_not_change_are_folded(tmp_path):
    """Within the tolerance counts as the same; a new one, a gone one and those of a new task are changes."""
    before = (Made(name="a", metrics={"auc": 0.9, "rows": 5.0, "old": 1.0}), Made(name="b", metrics={"auc": 0.9}))
    after = (
        Made(name="a", metrics={"auc": 0.905, "rows": 5.0, "new": 2.0}),
        Made(name="b", metrics={"auc": 0.7}),
        Made(name="c", metrics={"auc": 0.5}),
    )
    assert "#### Metrics" + summary(tmp_path, before, after).partition("#### Metrics")[2] == (
        """\
#### Metrics that changed

| task | metric | value | on main | difference |
|---|---|---|---|---|
| a | new | 2.0 | {none} | new |
| b | auc | 0.7 | 0.9 | -0.2 (-22.2%) ▼ worse |
| c | auc | 0.5 | {none} | new |
| a | old | {none} | 1.0 | gone |

<details><summary>Metrics that did not change (2)</summary>

| task | metric | value | on main | difference |
|---|---|---|---|---|
| a | auc | 0.905 | 0.9 | +0.005 (+0.6%) ≈ within tolerance |
| a | rows | 5.0 | 5.0 |  |

</details>

""".replace("{none}", "\N{EN DASH}")
    )


def test_without_a_baseline_all_metrics_are_shown(tmp_path):
    """There is nothing that they could be compared with."""
    fabric = Fabric(tmp_path)
    run = fabric.run(1, Made(name="a", metrics={"auc": 0.9}))
    text = summary_text(of(fabric, run), None, DECLARED, 1 << 20)
    assert "#### Metrics\n\n| task | metric | value |\n|---|---|---|\n| a | auc | 0.9 |\n" in text
