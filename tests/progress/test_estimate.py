"""What is left of a run is estimated between bounds that no execution can leave."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import Command, Pipeline, Policy, Task, TaskName
from nbmake_dag.progress.estimate import expected_durations, remaining


@dataclass(frozen=True)
class Case:
    """A graph, part of which has ended, and part of the rest runs."""

    graph: Graph
    durations: dict[TaskName, float]
    left: frozenset[TaskName]
    ages: dict[TaskName, float]
    jobs: int

    def remaining(self, **changes) -> float:
        values = {"left": self.left, "ages": self.ages, "jobs": self.jobs, **changes}
        return remaining(self.graph, self.durations, values["left"], values["ages"], values["jobs"], {})


def graph_of(after: dict[str, list[str]]) -> Graph:
    tasks = {
        TaskName(name): Task(
            name=TaskName(name),
            family=name.partition("[")[0],
            work=Command(arguments="true"),
            after=tuple(map(TaskName, above)),
        )
        for name, above in after.items()
    }
    return build_graph(Pipeline(name="p", tasks=tasks))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 12))
    names = [f"t{number}" for number in range(count)]
    after = {
        name: draw(st.lists(st.sampled_from(names[:number]), unique=True, max_size=3)) if number else []
        for number, name in enumerate(names)
    }
    graph = graph_of(after)
    seconds = st.floats(0, 1000)
    ended: set[TaskName] = set()
    for name in graph.order:
        if ended.issuperset(graph.upstream[name]) and draw(st.booleans()):
            ended.add(name)
    left = frozenset(graph.order) - ended
    ready = [name for name in left if ended.issuperset(graph.upstream[name])]
    return Case(
        graph=graph,
        durations={name: draw(seconds) for name in graph.order},
        left=left,
        ages={name: draw(seconds) for name in sorted(ready) if draw(st.booleans())},
        jobs=draw(st.integers(1, 8)),
    )


@given(cases())
def test_an_estimate_is_neither_less_than_possible_nor_more_than_one_after_another(case):
    """The longest task and the shared work bound it from below, the whole work from above."""
    left = [max(0.0, case.durations[name] - case.ages.get(name, 0.0)) for name in case.left]
    estimate = case.remaining()
    assert max([*left, sum(left) / case.jobs], default=0.0) <= estimate * (1 + 1e-9)
    assert estimate <= sum(left) * (1 + 1e-9)


@given(cases())
def test_progress_never_makes_an_estimate_longer(case):
    """One job more, one task less or a second passed: no more is left than before."""
    estimate = case.remaining() * (1 + 1e-9)
    assert case.remaining(jobs=case.jobs + 1) <= estimate
    assert case.remaining(ages={name: age + 1 for name, age in case.ages.items()}) <= estimate
    for name in case.left:
        assert case.remaining(left=case.left - {name}) <= estimate


def test_a_chain_takes_as_long_as_its_tasks_together():
    """More jobs do not help where each task needs the one before."""
    graph = graph_of({"a": [], "b": ["a"], "c": ["b"], "d": []})
    durations = {TaskName("a"): 1.0, TaskName("b"): 2.0, TaskName("c"): 3.0, TaskName("d"): 1.0}
    assert remaining(graph, durations, frozenset(graph.order), {}, 4, {}) == 6.0
    assert remaining(graph, durations, frozenset(graph.order), {}, 1, {}) == 7.0
    assert remaining(graph, durations, frozenset(graph.order), {TaskName("a"): 0.5}, 4, {}) == 5.5


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"train[n=1]": 4.0, "eda": 1.0}, {"train[n=1]": 4.0, "train[n=2]": 4.0, "eda": 1.0, "split": 2.5}),
        ({}, {}),
        ({"gone": 3.0}, {}),
    ],
)
def test_a_task_that_never_ran_is_taken_as_its_family(known, expected):
    """Without any time known there is no estimate; tasks that are no more do not count."""
    graph = graph_of({"split": [], "train[n=1]": [], "train[n=2]": [], "eda": []})
    assert expected == expected_durations(graph, known)


def test_tasks_of_a_pool_cannot_be_done_sooner_than_its_places_allow():
    """However many jobs there are; of a running task only the rest counts."""
    chained = graph_of({"a": [], "b": [], "c": []})
    wanted = {"a": {"p": 1}, "b": {"p": 1}, "c": {"q": 1}}
    tasks = {name: replace(task, policy=Policy(pools=wanted[name])) for name, task in chained.tasks.items()}
    graph = replace(chained, tasks=tasks)
    durations = {TaskName("a"): 4.0, TaskName("b"): 3.0, TaskName("c"): 2.0}
    left = frozenset(graph.order)
    assert remaining(graph, durations, left, {}, 8, {"p": 2, "q": 1}) == 4.0
    assert remaining(graph, durations, left, {}, 8, {"p": 1, "q": 1}) == 7.0
    assert remaining(graph, durations, left, {TaskName("a"): 3.0}, 8, {"p": 1, "q": 1}) == 4.0
