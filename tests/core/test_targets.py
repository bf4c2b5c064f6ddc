"""What a command line means."""

from __future__ import annotations

import pytest

from nbmake_dag.core.model import Function, Notebook, ProjectPath, TaskName
from nbmake_dag.core.targets import select, with_checks
from nbmake_dag.errors import UsageError
from tests.core.builders import graph, task

GRAPH = graph(
    task("ingest", makes="data/raw.npy data/parts/", tags="daily"),
    task("train[n=1]", makes="m/1.onnx", tags="slow"),
    task("train[n=2]", makes="m/2.onnx", tags="slow"),
    task("grid[n=1,shop=a]"),
    task("grid[n=2,shop=a]"),
    task("trainer"),
    task("daily"),
    task("star*"),
    task("plot", reads="raw/a.csv logs/*.txt", work=Notebook(path=ProjectPath("nb/plot.ipynb"))),
    task("count", work=Function(module="lib.count", qualname="all")),
)
TRAIN = {"train[n=1]", "train[n=2]"}


@pytest.mark.parametrize(
    ("target", "tasks"),
    [
        ("ingest", {"ingest"}),
        ("train", TRAIN),
        ("train[n=2]", {"train[n=2]"}),
        ("grid[shop=a,n=2]", {"grid[n=2,shop=a]"}),
        ("train*", {*TRAIN, "trainer"}),
        ("train[n=?]", TRAIN),
        ("star*", {"star*"}),
        ("daily", {"daily"}),
        ("slow", TRAIN),
        ("data/raw.npy", {"ingest"}),
        ("./data/raw.npy", {"ingest"}),
        ("data/parts/", {"ingest"}),
        ("data/parts", {"ingest"}),
        ("data/parts/7.npy", {"ingest"}),
        ("m/2.onnx", {"train[n=2]"}),
        ("nb/plot.ipynb", {"plot"}),
        ("./lib/count.py", {"count"}),
    ],
)
def test_a_target_is_a_task_a_glob_a_tag_or_a_path(target: str, tasks: set[str]) -> None:
    """An exact name comes before a glob, a name before a tag, a tag before a path."""
    assert select(GRAPH, [target]) == tasks


def test_nothing_named_means_everything() -> None:
    """Also where something is excluded."""
    assert select(GRAPH, []) == set(GRAPH.order)
    assert select(GRAPH, [], exclude=["train*"]) == set(GRAPH.order) - TRAIN - {"trainer"}


def test_targets_and_tags_add_up() -> None:
    """A tag alone does not mean everything."""
    assert select(GRAPH, ["ingest"], tags=["slow"]) == {"ingest", *TRAIN}
    assert select(GRAPH, [], tags=["daily"]) == {"ingest"}
    assert select(GRAPH, ["train"], exclude=["train[n=1]"]) == {"train[n=2]"}


@pytest.mark.parametrize(
    ("targets", "tags", "what", "hint"),
    [
        (["ingset"], [], "no task, tag or output is called `ingset`", "did you mean `ingest`?"),
        (["m/3.onnx"], [], "no task, tag or output is called `m/3.onnx`", "did you mean `m/2.onnx`?"),
        (
            ["grid[shop=a]"],
            [],
            "no task, tag or output is called `grid[shop=a]`",
            "did you mean `'grid[*shop=a*]'`?",
        ),
        (
            ["raw/a.csv"],
            [],
            "`raw/a.csv` is made by no task",
            "it is an input of `plot`; `--downstream plot` builds that and what depends on it",
        ),
        (
            ["logs/b.txt"],
            [],
            "`logs/b.txt` is made by no task",
            "it is an input of `plot`; `--downstream plot` builds that and what depends on it",
        ),
        (["xyz*"], [], "no task, tag or output is called `xyz*`", ""),
        ([], ["slw"], "no task has the tag `slw`", "did you mean `slow`?"),
    ],
)
def test_a_target_that_means_nothing_is_refused(targets: list[str], tags: list[str], what: str, hint: str) -> None:
    """With what it was meant to be."""
    with pytest.raises(UsageError) as caught:
        select(GRAPH, targets, tags=tags)
    assert (caught.value.what, caught.value.hint) == (what, hint)


CHECKED = graph(
    task("raw", makes="raw"),
    task("clean", reads="raw", makes="clean"),
    task("other", makes="other"),
    task("sum", reads="clean", makes="sum"),
    task("of-raw", reads="raw", check=True),
    task("of-clean", reads="clean", check=True),
    task("of-both", reads="clean other", check=True),
    task("of-file", reads="some.csv", check=True),
)


@pytest.mark.parametrize(
    ("wanted", "named", "barred", "alone", "checks"),
    [
        ("raw", "raw", "", False, "of-raw"),
        ("sum", "sum", "", False, "of-raw of-clean"),
        ("sum", "sum", "of-raw", False, "of-clean"),
        ("sum", "sum", "", True, ""),
        ("clean", "clean", "", True, "of-clean"),
        ("sum other", "sum other", "", False, "of-raw of-clean of-both"),
        ("of-both", "of-both", "", False, "of-raw of-clean of-both"),
        ("of-both of-clean", "", "", False, ""),
        ("raw of-both of-file", "raw", "", False, "of-raw of-file"),
    ],
)
def test_a_check_belongs_to_what_it_reads(
    wanted: str, named: str, barred: str, *, alone: bool, checks: str
) -> None:
    """It is built with all of it, not with a part; one that is named brings what it needs."""

    def names(words: str) -> frozenset[TaskName]:
        return frozenset(map(TaskName, words.split()))

    found = with_checks(CHECKED, names(wanted), named=names(named), barred=names(barred), alone=alone)
    assert {name for name in found if CHECKED.tasks[name].policy.check} == names(checks)
    assert {name for name in names(wanted) if not CHECKED.tasks[name].policy.check} <= found
