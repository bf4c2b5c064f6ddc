"""Families whose instances are known when other tasks have ended: nodes of the graph, of plans and of runs."""

from __future__ import annotations

import pytest

from nbmake_dag.core.decide import Rules, Stale
from nbmake_dag.core.globs import may_overlap
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Undecided, plan
from nbmake_dag.core.targets import matched, select
from nbmake_dag.errors import ConfigError, UsageError
from tests.core.builders import Past, graph, task
from tests.core.lives import NEW, Life

SPLIT = task("split", makes="raw/")
FAMILY = task("clean[...]", makes="clean/*.csv", instances="raw/*.csv")
SUMMARY = task("summary", reads="clean/*.csv", makes="summary.csv")
OTHER = task("other", makes="other.csv")
OSLO = task("clean[n=oslo]", reads="raw/oslo.csv", makes="clean/oslo.csv", instances="raw/*.csv")
ROME = task("clean[n=rome]", reads="raw/rome.csv", makes="clean/rome.csv", instances="raw/*.csv")


def unknown(*more: str) -> Graph:
    readers = (
        task(f"r{number}", after=word) if "[" in word else task(f"r{number}", reads=word)
        for number, word in enumerate(more)
    )
    return graph(SPLIT, FAMILY, *readers)


@pytest.mark.parametrize(
    "word", ["clean/*.csv", "clean/oslo.csv", "clean/**/x.csv", "*/*", "clean/o*.csv", "clean[...]"]
)
def test_who_may_read_from_an_instance_waits_for_all(word: str) -> None:
    """By a glob, by a path, and by `after`."""
    (reader,) = (name for name in unknown(word).downstream[TaskName("clean[...]")])
    assert reader == "r0"


@pytest.mark.parametrize("word", ["clean/*.txt", "clean/oslo", "clean/a/b.csv", "raw/oslo.csv", "*.csv"])
def test_who_cannot_read_from_an_instance_does_not_wait(word: str) -> None:
    """An edge too many costs time alone, but it could be part of a cycle that is none."""
    assert unknown(word).downstream[TaskName("clean[...]")] == ()


def test_instances_come_after_what_says_that_they_exist() -> None:
    """An output that is a file is known by its path; a folder, and rows, when they have been made."""
    found = graph(
        SPLIT,
        OSLO,
        task("list", makes="list.csv"),
        task("row[n=1]", instances="list.csv"),
        task("one", makes="parts/a.txt"),
        task("part[n=a]", instances="parts/*.txt"),
    )
    above = {name: found.upstream[TaskName(name)] for name in ("clean[n=oslo]", "row[n=1]", "part[n=a]")}
    assert above == {"clean[n=oslo]": ("split",), "row[n=1]": ("list",), "part[n=a]": ()}


def test_what_a_family_needs_must_not_read_what_it_may_make() -> None:
    """A path counts as a file on disk, of a glob nobody can tell; a cycle of families is one as well."""
    assert graph(task("split", reads="clean/in.csv", makes="raw/"), FAMILY).upstream[TaskName("split")] == ()
    with pytest.raises(ConfigError, match=r"`clean` may make `clean/\*\.csv`, an input of `split`"):
        graph(task("split", reads="clean/*.csv", makes="raw/"), FAMILY)
    with pytest.raises(ConfigError, match=r"may make"):
        graph(task("a[...]", makes="a/*", instances="b/*"), task("b[...]", makes="b/*", instances="a/*"))


def test_a_plan_says_what_the_instances_wait_for() -> None:
    """What waits for them is undecided too, whatever its last result was."""
    found = plan(graph(SPLIT, FAMILY, SUMMARY), Past(graph(SPLIT, FAMILY, SUMMARY)).facts(), Rules())
    assert isinstance(found[TaskName("split")], Stale)
    assert found[TaskName("clean[...]")] == Undecided(upstream=(TaskName("split"),), is_unknown=True)
    assert found[TaskName("summary")] == Undecided(upstream=(TaskName("clean[...]"),))


def test_instances_take_the_place_of_their_family() -> None:
    """They are decided about when they are known, and what waits for the family then waits for them."""
    life = Life(Past(graph(SPLIT, FAMILY, SUMMARY, OTHER)))
    assert life.started == [f"run split: {NEW}", f"run other: {NEW}"]
    life.began("split", "other")
    assert life.finished("split") == ["expand clean[...]"]
    assert life.expanded("clean[...]", OSLO, ROME) == [f"run {OSLO.name}: {NEW}", f"run {ROME.name}: {NEW}"]
    life.began(OSLO.name, ROME.name)
    assert life.finished(OSLO.name) == []
    assert life.finished("other") == []
    assert life.finished(ROME.name) == [f"run summary: {NEW}"]
    life.began("summary")
    life.finished("summary")
    assert set(life.ends.values()) == {"ran"}


def test_no_instances_let_go_on_what_waits_for_them() -> None:
    """A family may turn out to be empty."""
    life = Life(Past(graph(SPLIT, FAMILY, SUMMARY)))
    life.began("split")
    life.finished("split")
    assert life.expanded("clean[...]") == [f"run summary: {NEW}"]


def test_a_family_ends_as_a_task_does() -> None:
    """It is skipped with what is below it, cancelled by an interruption, and fails where it cannot be expanded."""
    life = Life(Past(graph(SPLIT, FAMILY, SUMMARY)))
    life.began("split")
    assert life.failed("split") == ["skip clean[...]: split", "skip summary: split"]
    life = Life(Past(graph(SPLIT, FAMILY, SUMMARY)))
    life.began("split")
    assert life.interrupted() == ["cancel clean[...]", "cancel summary"]
    assert life.finished("split") == []
    life = Life(Past(graph(SPLIT, FAMILY, SUMMARY)))
    life.began("split")
    life.finished("split")
    assert life.failed("clean[...]") == ["skip summary: clean[...]"]


def test_an_instance_that_needs_what_failed_is_skipped_at_once() -> None:
    """Also what waits for it."""
    life = Life(Past(graph(SPLIT, FAMILY, SUMMARY, OTHER)), keep_going=True)
    life.began("split", "other")
    life.failed("other")
    life.finished("split")
    needy = task("clean[n=oslo]", reads="other.csv", makes="clean/oslo.csv", instances="raw/*.csv")
    assert life.expanded("clean[...]", needy, ROME) == [
        "skip clean[n=oslo]: other",
        "skip summary: other",
        f"run {ROME.name}: {NEW}",
    ]


def test_words_for_instances_mean_the_family_until_it_is_known() -> None:
    """As targets; as exclusions they mean nothing yet, but for those that mean all."""
    found = graph(SPLIT, FAMILY, SUMMARY)
    for word in ("clean", "clean[n=oslo]", "cl*[n=*]", "clean/oslo.csv", "clean[...]"):
        assert select(found, [word]) == {"clean[...]"}
    for word, excluded in (("clean", True), ("cl*", True), ("clean[n=oslo]", False), ("clean/oslo.csv", False)):
        assert bool(matched(found, [word])) is excluded
    known = graph(SPLIT, OSLO, SUMMARY)
    assert select(known, ["clean[...]"]) == {OSLO.name}
    with pytest.raises(UsageError, match="rome"):
        select(known, ["clean[n=rome]"])


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("a/*.csv", "a/x.csv", True),
        ("a/*-*.csv", "a/x.csv", True),
        ("a/x*.csv", "a/*y.csv", True),
        ("a/x*.csv", "a/y*.csv", False),
        ("a/*", "a/b/", False),
        ("a/*/", "a/b/c.txt", True),
        ("a/*/c.txt", "a/b.txt", False),
        ("**/x", "a/b/c", True),
        ("a/[*].csv", "a/*.csv", True),
        ("a/[*].csv", "a/b.csv", False),
        ("a/[xy].csv", "a/z.csv", True),
        ("a/aba", "a/ab*ba", False),
    ],
)
def test_texts_that_may_mean_one_path(one: str, other: str, overlap: bool) -> None:  # noqa: FBT001
    """What is uncertain counts."""
    assert may_overlap(one, other) is may_overlap(other, one) is overlap
