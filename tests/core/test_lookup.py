"""From ingredients to a hit or a miss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nbmake_dag.core.decide import Decision, Restorable, Rules, Stale, UpToDate, decide
from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.lookup import literal, read_digest, read_name, task_keys, upstream_ingredients
from nbmake_dag.core.model import TaskName, Value
from nbmake_dag.core.vocabulary import ReadKind
from nbmake_dag_cache.record import Artifact, Logged
from tests.core.builders import Past, graph, made, pipeline, result, task


def _decision(past: Past, name: str) -> Decision:
    return decide(TaskName(name), past.graph, past.facts()[TaskName(name)], past.results, Rules())


def _pair(*, reads: str = "a.csv") -> Graph:
    return graph(task("a", makes="a.csv b.csv"), task("b", reads=reads, makes="out.csv"))


def test_the_same_ingredients_are_a_hit() -> None:
    """What ran before, with the same things above it, is up to date."""
    past = Past(_pair()).ran("a").ran("b")
    assert _decision(past, "b") == UpToDate(record=past.previous[TaskName("b")])


def test_what_a_task_above_made_invalidates() -> None:
    """Other bytes in an input are a miss, with the input as its reason."""
    past = Past(_pair()).ran("a").ran("b").left("a", "a.csv", "b.csv", text="other")
    decision = _decision(past, "b")
    assert isinstance(decision, Stale)
    assert decision.reasons == ("input: a.csv changed",)


def test_an_output_above_that_is_no_input_does_not_invalidate() -> None:
    """Only the declared inputs of a task are in its key."""
    past = Past(_pair()).ran("a").ran("b")
    past.results[TaskName("a")] = result(made("a.csv", "a"), made("b.csv", "other"))
    assert isinstance(_decision(past, "b"), UpToDate)


def test_the_digest_above_is_of_the_result_and_not_of_the_workspace() -> None:
    """An output that was edited by hand changes nothing below it."""
    past = Past(_pair()).ran("a").ran("b")
    past.present["a.csv"] = made("a.csv", "edited").digest  # type: ignore[assignment]
    assert isinstance(_decision(past, "b"), UpToDate)
    assert isinstance(_decision(past, "a"), Restorable)


def test_going_back_is_a_hit() -> None:
    """Every state that was built once is found again, the first one after two others."""
    past = Past(_pair())
    for text in ("one", "two", "three"):
        past.left("a", "a.csv", "b.csv", text=text).left("b", "out.csv", text=f"from {text}")
    past.results[TaskName("a")] = result(made("a.csv", "one"), made("b.csv", "one"))
    decision = _decision(past, "b")
    assert isinstance(decision, Restorable)
    assert [(output.path, output.digest) for output in decision.record.outputs] == [
        ("out.csv", made("out.csv", "from one").digest)
    ]


def test_after_adds_nothing_to_the_key() -> None:
    """A task that only comes after another is up to date whatever that one makes."""
    past = Past(graph(task("a", makes="a.csv"), task("b", after="a"))).ran("a").ran("b")
    past.results[TaskName("a")] = result(made("a.csv", "other"), auc=0.5)
    assert isinstance(_decision(past, "b"), UpToDate)


def test_a_module_that_was_loaded_invalidates() -> None:
    """What the last execution was seen to use is part of the key."""
    past = Past(graph(task("a")))
    past.modules["helper.py"] = "1"
    past.ran("a", used="helper.py")
    assert isinstance(_decision(past, "a"), UpToDate)
    past.modules["helper.py"] = "2"
    decision = _decision(past, "a")
    assert isinstance(decision, Stale)
    assert decision.reasons == ("module: helper.py changed",)


def test_a_module_that_is_gone_invalidates() -> None:
    """No file is another thing than any file."""
    past = Past(graph(task("a")))
    past.modules["helper.py"] = "1"
    past.ran("a", used="helper.py")
    del past.modules["helper.py"]
    assert isinstance(_decision(past, "a"), Stale)


def test_traces_are_tried_newest_first() -> None:
    """Where two earlier executions would be the same, the newer one is the hit."""
    past = Past(graph(task("a", makes="a.csv")))
    past.modules |= {"one.py": "1", "two.py": "2"}
    past.left("a", "a.csv", text="older", used="one.py").left("a", "a.csv", text="newer", used="two.py")
    decision = _decision(past, "a")
    assert isinstance(decision, UpToDate)
    assert decision.record.outputs == (made("a.csv", "newer"),)


def test_an_older_trace_is_tried_when_the_newest_does_not_fit() -> None:
    """Each way in which a task was seen to run is tried."""
    past = Past(graph(task("a", makes="a.csv")))
    past.modules |= {"one.py": "1", "two.py": "2"}
    past.left("a", "a.csv", text="older", used="one.py").left("a", "a.csv", text="newer", used="two.py")
    past.modules["two.py"] = "changed"
    decision = _decision(past, "a")
    assert isinstance(decision, Restorable)
    assert decision.record.outputs == (made("a.csv", "older"),)


def test_a_trace_finds_the_record_of_another_value_of_the_same_module() -> None:
    """One trace, two values: going back to the first value is a hit."""
    past = Past(graph(task("a", makes="a.csv")))
    past.modules["helper.py"] = "1"
    past.left("a", "a.csv", text="one", used="helper.py")
    past.modules["helper.py"] = "2"
    past.left("a", "a.csv", text="two", used="helper.py")
    past.modules["helper.py"] = "1"
    decision = _decision(past, "a")
    assert isinstance(decision, Restorable)
    assert decision.record.outputs == (made("a.csv", "one"),)


def test_a_trace_of_another_static_key_is_not_used() -> None:
    """A record whose inputs were others is no hit, though what it traced is as it was."""
    past = Past(_pair())
    past.modules["helper.py"] = "1"
    past.ran("a").ran("b", used="helper.py")
    past.left("a", "a.csv", "b.csv", text="other").left("b", "out.csv", text="no trace")
    past.results[TaskName("a")] = result(made("a.csv", "third"), made("b.csv", "third"))
    assert isinstance(_decision(past, "b"), Stale)


def test_a_trace_of_another_static_key_does_not_stand_for_this_one() -> None:
    """An execution without a trace, under the present inputs, is the hit even when a newer one traced more."""
    past = Past(_pair()).ran("a").left("b", "out.csv", text="plain")
    wanted = past.previous[TaskName("b")]
    past.modules["helper.py"] = "1"
    past.left("a", "a.csv", "b.csv", text="other").left("b", "out.csv", text="traced", used="helper.py")
    past.results[TaskName("a")] = result(made("a.csv", "a"), made("b.csv", "a"))
    decision = _decision(past, "b")
    assert isinstance(decision, Restorable)
    assert decision.record == wanted


def _reader(past: Past) -> Decision:
    return _decision(past, "late")


def _upstream() -> Past:
    return Past(graph(task("a", parameters={"depth": 3}), task("b"), task("late", after="a b", work="late")))


@pytest.mark.parametrize("saw", [("a", "metrics", "auc"), ("a", "params", "depth"), ("a", "metrics", None)])
def test_a_value_that_was_read_and_is_the_same_does_not_invalidate(saw: tuple[str, ReadKind, str | None]) -> None:
    """A new execution above that logged the same again changes nothing."""
    past = _upstream().ran("a", auc=0.9).ran("b").ran("late", saw=saw)
    past.results[TaskName("a")] = replace(result(auc=0.9), parameters={"depth": 3})
    assert isinstance(_reader(past), UpToDate)


def test_a_value_that_was_read_invalidates() -> None:
    """The reason names whose value it is."""
    past = _upstream().ran("a", auc=0.9).ran("b").ran("late", saw=("a", "metrics", "auc"))
    past.results[TaskName("a")] = result(auc=0.8)
    decision = _reader(past)
    assert isinstance(decision, Stale)
    assert decision.reasons == ("upstream value: a metrics.auc",)


def test_a_value_that_was_not_read_does_not_invalidate() -> None:
    """Reads are tracked one by one."""
    past = _upstream().ran("a", auc=0.9, loss=1.0).ran("b").ran("late", saw=("a", "metrics", "auc"))
    past.results[TaskName("a")] = result(auc=0.9, loss=2.0)
    assert isinstance(_reader(past), UpToDate)


def test_a_name_that_joins_a_set_that_was_read_invalidates() -> None:
    """Iterating reads the set of names, not the values."""
    past = _upstream().ran("a", auc=0.9).ran("b").ran("late", saw=("a", "metrics", None))
    past.results[TaskName("a")] = result(auc=0.1)
    assert isinstance(_reader(past), UpToDate)
    past.results[TaskName("a")] = result(auc=0.9, loss=1.0)
    assert isinstance(_reader(past), Stale)


def test_a_task_that_joins_a_set_that_was_read_invalidates() -> None:
    """The set of tasks above is read as a whole, and is that of the tasks above, not of all."""
    past = _upstream()
    saw = read_name("", "tasks", None)
    both = {TaskName("a"): result(), TaskName("b"): result()}
    assert read_digest(saw, both) != read_digest(saw, {TaskName("a"): result()})
    assert read_digest(saw, both) != read_digest(saw, dict(reversed(both.items())))
    past.ran("a").ran("b")
    past.ran("late", saw=("", "tasks", None))
    more = past.now(graph(*past.graph.tasks.values(), task("beside")))
    more.ran("beside")
    assert isinstance(_reader(more), UpToDate)


def test_what_a_gone_task_logged_is_absent() -> None:
    """Reading a task that is not above, or a value that is not logged, gives the digest of nothing."""
    results = {TaskName("a"): result(auc=0.9)}
    assert read_digest(read_name("gone", "metrics", "auc"), results) == ABSENT
    assert read_digest(read_name("a", "metrics", "gone"), results) == ABSENT
    assert read_digest(read_name("a", "metrics", "auc"), results) != ABSENT


def test_logged_params_come_before_the_tasks_own_and_artifacts_count_by_content() -> None:
    """What `upstream()` shows is what is digested."""
    own = replace(result(), parameters={"depth": 3})
    depth = read_name("a", "params", "depth")
    logged = replace(own, logged=Logged(params={"depth": 4}))
    assert read_digest(depth, {TaskName("a"): own}) != read_digest(depth, {TaskName("a"): logged})
    pictures = [
        Logged(artifacts={"roc.png": Artifact(sha256=name, size=1, media_type=media)})
        for name, media in (("1" * 64, "image/png"), ("1" * 64, "image/x"), ("2" * 64, "image/png"))
    ]
    curve = read_name("a", "artifacts", "roc.png")
    digests = [read_digest(curve, {TaskName("a"): replace(own, logged=picture)}) for picture in pictures]
    assert digests[0] == digests[1] != digests[2]


def test_a_file_below_a_made_folder_counts_alone() -> None:
    """A path, a folder and a glob below a folder output hold their own files, the folder itself its digest."""
    made_by = graph(
        task("a", makes="d/"),
        *(
            task(name, reads=path)
            for name, path in (("whole", "d/"), ("one", "d/1.csv"), ("all", "d/*.csv"), ("sub", "d/s/"))
        ),
    )
    folder = made("d/", {"1.csv": "1", "2.csv": "2", "s/3.csv": "3"})
    past = Past(made_by)
    facts = past.facts()
    seen = {
        name: [
            (item.name, item.path)
            for item in task_keys(
                TaskName(name), made_by, facts[TaskName(name)], {TaskName("a"): result(folder)}
            ).ingredients
            if item.stage == "upstream"
        ]
        for name in ("whole", "one", "all", "sub")
    }
    assert seen == {
        "whole": [("0", "d/")],
        "one": [("0", "d/1.csv")],
        "all": [("0", "d/1.csv"), ("0", "d/2.csv")],
        "sub": [("0", "d/s/3.csv")],
    }


@pytest.mark.parametrize(
    ("path", "seen"), [("d/9.csv", [("0", "d/9.csv", ABSENT)]), ("d/*.txt", []), ("d/t/", [])]
)
def test_a_file_that_a_made_folder_lacks_is_absent(path: str, seen: list[tuple[str, str, str]]) -> None:
    """A declared path is in the key also where nothing is there; globs and folders are by themselves."""
    below = graph(task("a", makes="d/"), task("b", reads=path))
    results = {TaskName("a"): result(made("d/", {"1.csv": "1"}))}
    keys = task_keys(TaskName("b"), below, Past(below).facts()[TaskName("b")], results)
    assert [(item.name, item.path, item.value) for item in keys.ingredients if item.stage == "upstream"] == seen


def test_an_output_that_the_result_lacks_is_absent() -> None:
    """A task whose record predates one of its outputs gives nothing for it."""
    made_by = _pair()
    facts = Past(made_by).facts()[TaskName("b")]
    keys = task_keys(TaskName("b"), made_by, facts, {TaskName("a"): result()})
    assert [(item.name, item.path, item.value) for item in keys.ingredients if item.stage == "upstream"] == [
        ("0", "a.csv", ABSENT)
    ]


def test_an_input_is_named_as_the_work_sees_it() -> None:
    """Another name for the same file is another input; in a list its place is its name."""
    made_by = _pair(reads="b.csv a.csv")
    one, two = made_by.tasks[TaskName("b")].inputs
    named = replace(made_by.tasks[TaskName("b")], inputs=(one, replace(two, name="table")))
    seen = [
        (item.name, item.path)
        for item in upstream_ingredients(
            named,
            build_graph(pipeline(made_by.tasks[TaskName("a")], named)).edges[named.name],
            {TaskName("a"): result(made("a.csv", "a"), made("b.csv", "b"))},
        )
    ]
    assert seen == [("0", "b.csv"), ("table", "a.csv")]


def test_without_anything_above_the_static_key_is_the_own_key() -> None:
    """Records are found in a folder by own key: one hash less for each task without tasks above."""
    alone = graph(task("a"))
    keys = task_keys(TaskName("a"), alone, Past(alone).facts()[TaskName("a")], {})
    assert keys.static_key == keys.own_key


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values: st.SearchStrategy[Value] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def _typed(value: Value) -> object:
    """Tell apart what Python's equality does not: types, and the sign of zero."""
    if isinstance(value, list):
        return "list", *[_typed(item) for item in value]
    if isinstance(value, dict):
        return "dict", *[(name, _typed(item)) for name, item in sorted(value.items())]
    return type(value).__name__, repr(value)


@given(one=values, other=values)
def test_two_values_are_written_alike_only_if_they_are_the_same(one: Value, other: Value) -> None:
    """Types count, at any depth; the order of a table does not."""
    assert (literal(one) == literal(other)) == (_typed(one) == _typed(other))


def test_the_four_ones_differ() -> None:
    """An integer, a float, a boolean and a text are four parameters."""
    ones: tuple[Value, ...] = (1, 1.0, True, "1", [1], {"b": 1, "a": None})
    assert [literal(value) for value in ones] == [
        "1",
        "1.0",
        "true",
        '"1"',
        "[1]",
        '{"a": null, "b": 1}',
    ]


def test_a_text_that_is_no_unicode_can_be_written() -> None:
    """A lone surrogate, as undecodable file names give, is spelled out."""
    assert literal("a\udc80") == r"'a\udc80'"
