"""Edges, order and cycles."""

from __future__ import annotations

import pytest

from nbmake_dag.core.graph import build_graph, input_files
from nbmake_dag.core.model import Input, ProjectPath, TaskName
from nbmake_dag.errors import ConfigError
from tests.core.builders import chain, graph, pipeline, task


def _edges(reads: str, makes: str) -> list[tuple[str, str]]:
    made = graph(task("maker", makes=makes), task("user", reads=reads))
    return [(edge.input.path, edge.output) for edge in made.edges[TaskName("user")]]


@pytest.mark.parametrize(
    ("reads", "makes", "edges"),
    [
        ("a.csv", "a.csv", [("a.csv", "a.csv")]),
        ("a.csv", "b.csv", []),
        ("data/", "data/", [("data/", "data/")]),
        ("data/part/1.csv", "data/", [("data/part/1.csv", "data/")]),
        ("data/part/", "data/", [("data/part/", "data/")]),
        ("data/", "data/1.csv data/sub/2.csv", [("data/", "data/1.csv"), ("data/", "data/sub/2.csv")]),
        (
            "data/*.csv",
            "data/1.csv data/2.txt data/3.csv",
            [("data/*.csv", "data/1.csv"), ("data/*.csv", "data/3.csv")],
        ),
        ("data/*.csv", "data/", [("data/*.csv", "data/")]),
        ("data/**/*.csv", "data/deep/", [("data/**/*.csv", "data/deep/")]),
        ("data/*.csv", "data/deep/", []),
        ("*/metrics.json", "a/metrics.json", [("*/metrics.json", "a/metrics.json")]),
        ("database/x", "data/", []),
    ],
)
def test_an_output_that_is_an_input_is_an_edge(reads: str, makes: str, edges: list[tuple[str, str]]) -> None:
    """Paths, folders and globs of inputs meet paths and folders of outputs."""
    assert _edges(reads, makes) == edges


def test_a_glob_is_also_looked_for_on_disk_and_a_made_path_is_not() -> None:
    """What no task makes is external; globs and folders may hold both."""
    made = graph(task("maker", makes="a.csv d/x"), task("user", reads="a.csv b.csv *.csv d/"))
    assert [item.path for item in made.external[TaskName("user")]] == ["b.csv", "*.csv", "d/"]


def test_after_orders_without_an_edge() -> None:
    """``after`` is above, and makes no input."""
    made = graph(task("late", after="early"), task("early"))
    assert made.order == ("early", "late")
    assert made.upstream[TaskName("late")] == ("early",)
    assert made.downstream[TaskName("early")] == ("late",)
    assert made.edges[TaskName("late")] == ()


def test_each_instance_of_a_matrix_is_a_node() -> None:
    """An instance is fed by the instance whose path it names, a glob by all."""
    made = graph(
        task("train[n=1]", makes="m/1.onnx"),
        task("train[n=2]", makes="m/2.onnx"),
        task("bench[n=2]", reads="m/2.onnx"),
        task("summary", reads="m/*.onnx"),
    )
    assert made.upstream[TaskName("bench[n=2]")] == ("train[n=2]",)
    assert made.upstream[TaskName("summary")] == ("train[n=1]", "train[n=2]")


def test_closures_hold_the_given_tasks_and_all_that_is_above_or_below() -> None:
    """A diamond has its four corners above its foot and below its head."""
    made = graph(
        task("a", makes="a"),
        task("b", reads="a", makes="b"),
        task("c", reads="a", makes="c"),
        task("d", reads="b c"),
    )
    assert made.with_upstream([TaskName("b")]) == ("a", "b")
    assert made.with_upstream([TaskName("d")]) == ("a", "b", "c", "d")
    assert made.with_downstream([TaskName("a")]) == ("a", "b", "c", "d")
    assert made.with_downstream([TaskName("c")]) == ("c", "d")


def test_closures_and_what_a_task_may_read_are_in_pipeline_order() -> None:
    """Twenty instances come as the file has them, not as their names hash or sort, whatever they are asked by."""
    names = [f"train[n={number}]" for number in range(20)]
    sizes = [task(name, makes=f"m/{number}.onnx") for number, name in enumerate(names)]
    made = graph(task("summary", reads="m/*.onnx"), *sizes)
    assert made.readable_by(TaskName("summary")) == tuple(names)
    assert made.with_upstream([TaskName("summary")]) == ("summary", *names)
    assert made.with_downstream([TaskName(name) for name in reversed(names)]) == ("summary", *names)


def test_the_owner_of_a_path_is_who_declares_it_or_a_folder_above_it() -> None:
    """A path beside a folder is nobody's."""
    made = graph(task("maker", makes="data/raw/ one.csv"))
    found = {
        path: made.owner_of(path) for path in ("data/raw/", "data/raw/x/y.csv", "one.csv", "data/raw.csv", "data/")
    }
    assert found == {
        "data/raw/": "maker",
        "data/raw/x/y.csv": "maker",
        "one.csv": "maker",
        "data/raw.csv": None,
        "data/": None,
    }


def test_what_only_leaves_out_is_taken_as_files_on_disk() -> None:
    """With ``only``, an input whose maker is not there is external, and ``after`` it is nothing."""
    whole = pipeline(task("a", makes="a.csv"), task("b", reads="a.csv", after="a"))
    made = build_graph(whole, only=frozenset({TaskName("b")}))
    assert (made.order, made.upstream[TaskName("b")]) == (("b",), ())
    assert [item.path for item in made.external[TaskName("b")]] == ["a.csv"]


def test_a_task_that_reads_its_own_output_is_refused() -> None:
    """The complaint says where, and what to do."""
    with pytest.raises(ConfigError) as caught:
        graph(task("loop", reads="a.csv", makes="a.csv"))
    assert str(caught.value) == (
        "pipeline.toml:4: task `loop` has `a.csv` as input and as output\n"
        "  hint: write the changed data to another path"
    )


@pytest.mark.parametrize("made_at", ["data/", "data/1.csv", "data/deep/1.csv"])
def test_a_made_folder_that_is_not_written_as_one_is_refused(made_at: str) -> None:
    """Without its slash it would be no edge, and be read before it is made."""
    with pytest.raises(ConfigError) as caught:
        graph(task("maker", makes=made_at), task("user", reads="data"))
    assert str(caught.value) == (
        "pipeline.toml:4: input `data` of task `user` is a folder that `maker` writes to\n"
        "  hint: write it as a folder: `data/`"
    )


def test_a_glob_does_not_match_its_own_tasks_outputs() -> None:
    """What a task makes is no input of it, also where its glob would match."""
    made = graph(task("merge", reads="*.csv", makes="all.csv"), task("part", makes="part.csv"))
    assert made.upstream[TaskName("merge")] == ("part",)


def test_of_several_cycles_the_shortest_is_shown() -> None:
    """A cycle of two is shown, not the one of four beside it."""
    with pytest.raises(ConfigError) as caught:
        graph(
            task("a", reads="d", makes="a"),
            task("b", reads="a", makes="b"),
            task("c", reads="b", makes="c"),
            task("d", reads="c", makes="d"),
            task("x", reads="y a", makes="x"),
            task("y", reads="x", makes="y"),
        )
    (complaint,) = caught.value.complaints
    assert complaint.what == "tasks need each other: x -> y -> x"


def test_a_cycle_through_after_is_a_cycle() -> None:
    """Order alone can contradict itself."""
    with pytest.raises(ConfigError, match="tasks need each other: a -> b -> a"):
        graph(task("a", after="b"), task("b", after="a"))


def test_a_cycle_of_a_thousand_tasks_is_shown_whole() -> None:
    """Nothing recurses, and each task is named once, then the first again."""
    length = 1000
    with pytest.raises(ConfigError) as caught:
        graph(*(task(f"t{n}", reads=f"{(n - 1) % length}.csv", makes=f"{n}.csv") for n in range(length)))
    shown = str(caught.value.complaints[0].what).removeprefix("tasks need each other: ").split(" -> ")
    assert (len(shown), len(set(shown)), shown[0]) == (length + 1, length, shown[-1])


@pytest.mark.slow
def test_a_chain_of_100_000_tasks_is_ordered() -> None:
    """Nothing recurses."""
    made = chain(100_000)
    assert made.order == tuple(str(n) for n in range(100_000))
    assert len(made.with_upstream([TaskName("99999")])) == len(made.with_downstream([TaskName("0")])) == 100_000


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("d/", ["d/b/2.csv", "d/1.csv"]),
        ("d/b/", ["d/b/2.csv"]),
        ("d/1.csv", ["d/1.csv"]),
        ("d/*.csv", ["d/1.csv"]),
    ],
)
def test_an_input_below_a_folder_gets_its_files_of_it(path: str, files: list[str]) -> None:
    """A folder gets all below it, a glob what matches, a path itself."""
    there = ["e/1.csv", "d/b/2.csv", "d/1.csv"]
    item = Input(path=ProjectPath(path), is_glob="*" in path)
    assert sorted(input_files(item, there)) == sorted(files)
