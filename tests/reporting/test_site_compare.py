"""The comparison of two runs, and how it is written."""

from pathlib import Path

import pytest

from nbmake_dag.commands.diff_text import markdown_lines, text_lines
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Change, Comparison, Declared, Verdict, compare, judge
from nbmake_dag_reporting.runs import read_run
from tests.reporting.fabricate import Fabric, Made

HIGHER = Declared(direction="higher", tolerance=0.01)


def _lr(value: str) -> tuple[tuple[str, str, str], ...]:
    return (("parameter", "lr", value),)


def of(fabric: Fabric, run_id: str) -> Recorded:
    run = read_run(str(fabric.runs / run_id), fabric.record)
    return Recorded(run=run, blob=fabric.blob, record=fabric.record)


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    """Compare a run with one whose `lr` changed, that lost a task and won another."""
    fabric = Fabric(tmp_path)
    before = fabric.run(
        1,
        Made(name="a", params={"lr": 1}, metrics={"auc": 0.9, "n": 5}, ingredients=_lr("1")),
        Made(name="old", above=("a",)),
    )
    after = fabric.run(
        2,
        Made(name="a", params={"lr": 1.0}, metrics={"auc": 0.8, "n": 5}, ingredients=_lr("1.0")),
        Made(name="new|er", above=("a",)),
    )
    return compare(of(fabric, before), of(fabric, after), {"auc": HIGHER})


def test_only_differences_are_told(found: Comparison) -> None:
    """Values of both runs stand in the comparison where they differ, by type too, and nowhere else."""
    worse = Change(task="a", name="auc", before=0.9, after=0.8, verdict=Verdict.WORSE)
    assert found == Comparison(
        before="run-00001",
        after="run-00002",
        parameters=(Change(task="a", name="lr", before=1, after=1.0),),
        metrics=(worse,),
        ingredients=(Change(task="a", name="parameter lr", before="1", after="1.0"),),
        added=("new|er",),
        removed=("old",),
        edges_added=(("a", "new|er"),),
        edges_removed=(("a", "old"),),
    )


def test_the_terminal_shows_aligned_columns(found: Comparison) -> None:
    """The whole text, from the graph to the keys."""
    assert list(text_lines(found)) == [
        "run-00001 → run-00002",
        "",
        "Graph",
        "  new|er      added",
        "  old         removed",
        "  a → new|er  edge added",
        "  a → old     edge removed",
        "",
        "Metrics",
        "  a  auc  0.9  0.8  -0.1 (-11.1%) ▼ worse",
        "",
        "Parameters",
        "  a  lr  1  1.0  +0 (+0.0%)",
        "",
        "Ingredients of keys",
        "  a  parameter lr  1  1.0",
    ]


def test_markdown_shows_names_as_text(found: Comparison) -> None:
    """What would be Markdown in a name or value is escaped."""
    lines = list(markdown_lines(found))
    assert r"| new\|er | added |" in lines
    assert "| a | auc | 0.9 | 0.8 | -0.1 (-11.1%) ▼ worse |" in lines


def test_a_run_does_not_differ_from_itself(tmp_path: Path) -> None:
    """One sentence says so."""
    fabric = Fabric(tmp_path)
    same = of(fabric, fabric.run(1, Made(name="a", metrics={"auc": 0.9})))
    assert list(text_lines(compare(same, same, {}))) == ["run-00001 → run-00001", "nothing differs"]


@pytest.mark.parametrize(
    ("before", "after", "declared", "verdict"),
    [
        (0.9, 0.905, HIGHER, Verdict.SAME),
        (0.9, 0.95, HIGHER, Verdict.BETTER),
        (0.9, 0.8, HIGHER, Verdict.WORSE),
        (0.9, 0.8, Declared(direction="lower"), Verdict.BETTER),
        (0.9, 0.8, Declared(), Verdict.CHANGED),
        (None, 0.8, HIGHER, Verdict.NEW),
        (0.9, None, HIGHER, Verdict.GONE),
        (None, None, HIGHER, Verdict.SAME),
    ],
)
def test_metrics_are_judged_as_declared(before, after, declared: Declared, verdict: Verdict) -> None:
    """Direction and tolerance decide; without a direction a change is only a change."""
    assert judge(before, after, declared) == verdict
