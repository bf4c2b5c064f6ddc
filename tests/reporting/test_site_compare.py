"""The comparison of two runs, and how it is written."""

import hashlib
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from nbmake_dag.errors import UsageError
from nbmake_dag.present.diff_text import markdown_text, text_lines
from nbmake_dag.present.site_links import SiteLinks
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Change, Comparison, Declared, ResultChange, Verdict, compare
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
        Made(
            name="a",
            params={"lr": 1},
            metrics={"auc": 0.9, "n": 5},
            artifacts={"roc.png": (b"old", "image/png"), "same.txt": (b"same", "text/plain")},
            ingredients=_lr("1"),
        ),
        Made(name="old", above=("a",)),
    )
    after = fabric.run(
        2,
        Made(
            name="a",
            reasons=("parameter: lr 1 -> 1.0",),
            params={"lr": 1.0},
            metrics={"auc": 0.8, "n": 5},
            artifacts={"roc.png": (b"new", "image/png"), "same.txt": (b"same", "text/plain")},
            ingredients=_lr("1.0"),
        ),
        Made(name="new|er", above=("a",)),
    )
    return compare(of(fabric, before), of(fabric, after), {"auc": HIGHER})


def test_only_differences_are_told(found: Comparison) -> None:
    """Values of both runs stand in the comparison where they differ, by type too, and nowhere else."""
    worse = Change(task="a", name="auc", before=0.9, after=0.8, verdict=Verdict.WORSE, direction="higher")
    old, new = (hashlib.sha256(data).hexdigest() for data in (b"old", b"new"))
    assert found == Comparison(
        before="run-00001",
        after="run-00002",
        results=(ResultChange(task="a", name="roc.png", kind="artifact", before=old, after=new, is_image=True),),
        reasons={"a": ("parameter: lr 1 -> 1.0",), "new|er": ()},
        codes={"a": (), "new|er": ()},
        parameters=(Change(task="a", name="lr", before=1, after=1.0),),
        metrics=(worse,),
        ingredients=(Change(task="a", kind="parameter", name="parameter lr", before="1", after="1.0"),),
        added=("new|er",),
        removed=("old",),
        edges_added=(("a", "new|er"),),
        edges_removed=(("a", "old"),),
    )


def test_the_terminal_shows_aligned_columns(found: Comparison) -> None:
    """The whole text, results and their judgement first."""
    assert list(text_lines(found)) == [
        "run-00001 → run-00002",
        "",
        "Results",
        "  a  roc.png  cba06b5736  11507a0e2f  image",
        "",
        "Metrics",
        "  a  auc (higher is better)  0.9  0.8  -0.1 (-11.1%) ▼ worse",
        "",
        "Graph",
        "  new|er      added",
        "  old         removed",
        "  a → new|er  edge added",
        "  a → old     edge removed",
        "",
        "Why tasks ran",
        "  a  parameter: lr 1 -> 1.0",
        "",
        "Parameters",
        "  a  lr  1  1.0  +0 (+0.0%)",
        "",
        "Ingredients of keys",
        "  a  parameter lr  1  1.0",
    ]


def test_a_column_that_is_empty_takes_no_room() -> None:
    """A status has no name beside that of its task."""
    changes = (
        Change(task="a", name="", before="up_to_date", after="ran"),
        Change(task="bc", name="", before="ran", after="failed"),
    )
    assert list(text_lines(Comparison(before="1", after="2", statuses=changes)))[2:] == [
        "Statuses",
        "  a   up_to_date  ran",
        "  bc  ran         failed",
    ]


def test_a_comment_shows_results_first_with_links_into_the_site(found: Comparison) -> None:
    """The whole text; what a reviewer seldom needs is folded; nothing in a name is Markdown."""
    site = "https://ada.github.io/digits"
    pictures = f"{site}/#/compare?runs=run-00001,run-00002"
    assert markdown_text(found, SiteLinks(site, {"run-00001", "run-00002"})) == (
        rf"""**[run-00001]({site}/#/run/run-00001) → [run-00002]({site}/#/run/run-00002)**

2 tasks ran, 1 result differs, 1 metric is worse. [Compare them]({pictures}).

#### Results

| task | name | before | after |  |
|---|---|---|---|---|
| [a]({site}/#/run/run-00002/task/a) | roc.png | cba06b5736 | 11507a0e2f | [image]({pictures}&view=pictures) |

#### Metrics

| task | name | before | after |  |
|---|---|---|---|---|
| a | auc (higher is better) | 0.9 | 0.8 | -0.1 (-11.1%) ▼ worse |

#### Graph

| task |  |
|---|---|
| new\|er | added |
| old | removed |
| a → new\|er | edge added |
| a → old | edge removed |

#### Why tasks ran

| task | why |
|---|---|
| a | parameter: lr 1 -\> 1.0 |

#### Parameters

| task | name | before | after |  |
|---|---|---|---|---|
| a | lr | 1 | 1.0 | +0 (+0.0%) |

<details><summary>Ingredients of keys (1)</summary>

| task | name | before | after |  |
|---|---|---|---|---|
| a | parameter lr | 1 | 1.0 |  |

</details>
"""
    )


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://ada.github.io", "https://ada.github.io/"),
        ("https://ada.github.io/digits/", "https://ada.github.io/digits/"),
        ("http://localhost:8000/a/index.html?x#y", "http://localhost:8000/a/index.html"),
        ("https://ada.github.io/a) [x](javascript:b", "https://ada.github.io/a%29%20%5Bx%5D%28javascript%3Ab/"),
    ],
)
def test_links_lead_into_the_published_site(url: str, page: str) -> None:
    """The address may be that of a folder or of a page; what a task is called cannot end a link."""
    links = SiteLinks(url, {"r1"})
    assert links.task("r1", "train[n=1, s=a/b)]") == f"{page}#/run/r1/task/train%5Bn%3D1%2C%20s%3Da%2Fb%29%5D"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ada.github.io", "/srv/site", "https://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """A link in a comment leads to a site, not into a browser's tricks."""
    with pytest.raises(UsageError, match="is not the address of a site"):
        SiteLinks(url)


def test_a_comment_never_exceeds_what_github_takes(tmp_path: Path) -> None:
    """Of a long table the first rows are shown, and every section says what it leaves out."""
    fabric = Fabric(tmp_path)
    names = [f"task-{number:04}" for number in range(2000)]
    before = fabric.run(1, *(Made(name=name, params={"lr": 1}, metrics={"auc": 0.9}) for name in names))
    after = fabric.run(2, *(Made(name=name, params={"lr": 2}, metrics={"auc": 0.8}) for name in names))
    text = markdown_text(compare(of(fabric, before), of(fabric, after), {"auc": HIGHER}))
    assert len(text) < 65_536
    assert "| task-0000 | auc (higher is better) | 0.9 | 0.8 | -0.1 (-11.1%) ▼ worse |" in text
    left_out = re.findall(r"^\d+ more rows are left out\.$", text, re.MULTILINE)
    assert text.count("#### ") == len(left_out) == 2


def test_a_run_does_not_differ_from_itself(tmp_path: Path) -> None:
    """One sentence says so."""
    fabric = Fabric(tmp_path)
    same = of(fabric, fabric.run(1, Made(name="a", metrics={"auc": 0.9}, reasons=("new: it has no result yet",))))
    assert list(text_lines(compare(same, same, {}))) == ["run-00001 → run-00001", "nothing differs"]


def test_what_was_not_asked_for_is_no_change_of_the_graph(tmp_path: Path) -> None:
    """A task of a run alone was added only if the same was asked for."""
    fabric = Fabric(tmp_path)
    made = (Made(name="a"), Made(name="b", above=("a",)), Made(name="c", above=("b",)))
    whole = of(fabric, fabric.run(1, *made))
    part = of(fabric, fabric.run(2, *made[:2]))
    part = replace(part, run=replace(part.run, targets=("b",)))
    there, back = compare(whole, part, {}), compare(part, whole, {})
    assert (there.edges_removed, back.edges_added) == ((), ())
    assert list(text_lines(there)) == ["run-00001 → run-00002", "", "Graph", "  c  not in run run-00002"]
    assert list(text_lines(back)) == ["run-00002 → run-00001", "", "Graph", "  c  not in run run-00002"]
