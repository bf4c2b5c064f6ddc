"""The life of a run: histories of events, and the instructions that answer them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nbmake_dag.core.facts import Result
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import (
    Began,
    Event,
    Failed,
    Finished,
    GivenUp,
    LookedUp,
    Restored,
    Stopped,
    Unrestorable,
)
from tests.core.builders import Past, graph, made, result, task
from tests.core.lives import NEW, Life, built, two_chains


def test_nothing_to_do_ends_at_once() -> None:
    """Hits are kept in their order, and nothing waits."""
    life = Life(built())
    assert life.started == ["up to date a", "up to date b", "up to date c", "up to date x", "up to date y"]
    assert set(life.ends.values()) == {"up_to_date"}


def test_an_empty_graph_is_done() -> None:
    """No task, no instruction."""
    life = Life(Past(graph()))
    assert (life.started, life.ends) == ([], {})


def test_a_first_build_runs_everything_in_order() -> None:
    """Each task is told to run when what it needs has finished, not before."""
    life = Life(Past(two_chains()))
    assert life.started == [f"run a: {NEW}", f"run x: {NEW}"]
    assert life.began("a", "x") == []
    assert life.finished("x") == [f"run y: {NEW}"]
    assert life.finished("a") == [f"run b: {NEW}"]
    life.began("b", "y")
    assert life.finished("b") == [f"run c: {NEW}"]
    assert life.finished("y") == []
    life.began("c")
    assert life.finished("c") == []
    assert set(life.ends.values()) == {"ran"}


def test_the_same_outputs_cut_off() -> None:
    """A task that ran and made what it made before leaves those below it as they are."""
    life = Life(built().now(two_chains(a="edited")))
    assert life.started == ["run a: command: edited", "up to date x", "up to date y"]
    life.began("a")
    assert life.finished("a") == ["up to date b", "up to date c"]
    assert life.ends == {"a": "ran", "b": "up_to_date", "c": "up_to_date", "x": "up_to_date", "y": "up_to_date"}


def test_other_outputs_run_what_reads_them() -> None:
    """The reason is the input; below it, the cut-off is tried again."""
    life = Life(built().now(two_chains(a="edited")))
    life.began("a")
    assert life.finished("a", "other") == ["run b: input: a.csv changed"]
    life.began("b")
    assert life.finished("b") == ["up to date c"]


def test_outputs_of_long_ago_are_a_hit_that_is_put_back() -> None:
    """A task that again makes what it made two builds ago has its dependents restored."""
    past = built().left("a", "a.csv", text="other").left("b", "b.csv", text="from other")
    life = Life(past.now(two_chains(a="edited")))
    life.began("a")
    assert life.finished("a", "a") == ["restore b: b.csv"]
    assert life.restored("b") == ["up to date c"]


def test_a_restored_task_releases_those_below_it_only_when_it_is_in_place() -> None:
    """They would read what is not there yet."""
    past = built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.started == ["restore a: a.csv", "up to date x", "up to date y"]
    assert life.restored("a") == ["up to date b", "up to date c"]
    assert life.ends["a"] == "restored"


def test_what_cannot_be_restored_runs() -> None:
    """A record without its blobs costs an execution, and cuts off below as any other."""
    past = built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.unrestorable("a") == ["run a: its blobs were not in the cache, or damaged"]
    life.began("a")
    assert life.finished("a") == ["up to date b", "up to date c"]
    assert life.ends["a"] == "ran"


def test_a_forced_task_runs_and_those_below_it_cut_off() -> None:
    """Forcing is not contagious."""
    life = Life(built(), forced="a y")
    assert life.started == ["run a: forced", "up to date x", "run y: forced"]
    life.began("a")
    assert life.finished("a") == ["up to date b", "up to date c"]


def test_a_task_that_is_never_cached_cuts_off_below() -> None:
    """``cache = false`` concerns the task alone."""
    line = two_chains()
    tasks = [replace(item, policy=replace(item.policy, cache=item.name != "a")) for item in line.tasks.values()]
    life = Life(built().now(graph(*tasks)))
    assert life.started == ["run a: cache = false", "up to date x", "up to date y"]
    life.began("a")
    assert life.finished("a") == ["up to date b", "up to date c"]


def test_a_value_that_was_read_decides_below() -> None:
    """What the task above logs in this run is what counts."""
    logs = graph(task("a", makes="a.csv"), task("b", after="a", makes="b.csv", work="b"))
    past = Past(logs).ran("a", auc=0.9).ran("b", saw=("a", "metrics", "auc"))
    for auc, said in ((0.9, "up to date b"), (0.8, "run b: upstream value: a metrics.auc")):
        life = Life(past, forced="a")
        life.began("a")
        assert life.finished("a", auc=auc) == [said]


def test_the_upstream_results_of_a_task_are_of_all_above_it() -> None:
    """Those of hits and those of this run, and of nothing beside it."""
    life = Life(built().now(two_chains(b="edited")))
    life.began("b")
    life.finished("b", "other")
    above = life.schedule.upstream_results(TaskName("c"))
    assert {name: _digest(found) for name, found in above.items()} == {
        "a": made("a.csv", "a").digest,
        "b": made("b.csv", "other").digest,
    }
    assert (len(above), TaskName("x") in above, TaskName("x") in life.schedule.results) == (2, False, True)


def _digest(found: Result) -> str:
    return next(iter(found.outputs.values())).digest


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Began(task=TaskName("b")), "b is waiting, not ready"),
        (Finished(task=TaskName("a"), result=result()), "a is ready, not running"),
        (Failed(task=TaskName("a")), "a is ready, not running"),
        (Stopped(task=TaskName("a")), "a is ready, not running"),
        (Restored(task=TaskName("a")), "a is ready, not restoring"),
        (Unrestorable(task=TaskName("a")), "a is ready, not restoring"),
        (GivenUp(task=TaskName("a")), "a is ready, not restoring"),
        (LookedUp(task=TaskName("a")), "a is ready, not looking_up"),
    ],
)
def test_an_event_that_cannot_be_is_refused(event: Event, message: str) -> None:
    """The state is what it was before."""
    life = Life(Past(two_chains()))
    before = dict(life.schedule.states)
    with pytest.raises(ValueError, match=message):
        life.schedule.handle(event)
    assert life.schedule.states == before


def test_a_miss_is_looked_up_before_it_runs() -> None:
    """Each task once, when all above it is known; what is not found runs."""
    life = Life(Past(two_chains()), shared=Past(two_chains()))
    assert life.started == ["look up a", "look up x"]
    assert life.looked_up("a") == [f"run a: {NEW}"]
    assert life.looked_up("x") == [f"run x: {NEW}"]
    life.began("a")
    assert life.finished("a") == ["look up b"]


def test_what_is_found_is_put_in_place_and_what_is_below_is_looked_up() -> None:
    """A record of others is a hit like one's own."""
    life = Life(Past(two_chains()), shared=built())
    assert life.looked_up("a") == ["restore a: a.csv"]
    assert life.restored("a") == ["look up b"]
    assert life.looked_up("b") == ["restore b: b.csv"]


def test_a_found_record_whose_outputs_are_in_place_is_kept() -> None:
    """Nothing is restored, and what is below is looked up in its turn."""
    here, there = built(), built()
    here.records.clear()
    life = Life(here, shared=there)
    assert life.looked_up("a") == ["up to date a", "look up b"]
    assert life.looked_up("b") == ["up to date b", "look up c"]


def test_a_local_hit_and_a_forced_task_are_not_looked_up() -> None:
    """The shared cache is asked about misses alone."""
    life = Life(built(), shared=built(), forced="x")
    assert life.started == ["up to date a", "up to date b", "up to date c", "run x: forced"]


def test_what_is_looked_up_when_the_run_is_interrupted_does_not_begin() -> None:
    """The answer, which another build may let wait for an hour, is not waited for."""
    life = Life(Past(two_chains()), shared=Past(two_chains()))
    assert life.interrupted() == ["cancel a", "cancel x", "cancel b", "cancel y", "cancel c"]
    assert set(life.ends.values()) == {"cancelled"}
    assert life.looked_up("a") == []
    assert set(life.ends.values()) == {"cancelled"}


def test_what_is_looked_up_when_another_task_fails_is_put_in_place_or_does_not_begin() -> None:
    """Also what is looked up only then; with ``keep_going`` all that is beside it goes on."""
    life = Life(Past(two_chains()), shared=built())
    life.looked_up("a")
    life.unrestorable("a")
    life.began("a")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    assert life.looked_up("x") == ["restore x: x.csv"]
    assert life.restored("x") == ["look up y"]
    whole = Past(two_chains())
    life = Life(whole, shared=Past(two_chains()))
    life.looked_up("a")
    life.began("a")
    life.failed("a")
    assert life.looked_up("x") == ["cancel x", "cancel y"]
    life = Life(whole, shared=Past(two_chains()), keep_going=True)
    life.looked_up("a")
    life.began("a")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    assert life.looked_up("x") == [f"run x: {NEW}"]


def test_what_is_looked_up_and_outdated_does_not_begin() -> None:
    """The build that is to follow need not wait for the answer; what is beside it goes on."""
    life = Life(Past(two_chains()), shared=Past(two_chains()))
    assert life.outdated("a", "b", "c") == ["cancel a", "cancel b", "cancel c"]
    assert life.looked_up("a") == []
    assert life.looked_up("x") == [f"run x: {NEW}"]


def test_blobs_that_cannot_be_put_in_place_after_all_make_a_found_task_run() -> None:
    """It is not looked up twice."""
    life = Life(Past(two_chains()), shared=built())
    life.looked_up("a")
    assert life.unrestorable("a") == ["run a: its blobs were not in the cache, or damaged"]


def test_a_task_that_was_handed_out_and_did_not_begin_may_begin_later() -> None:
    """It is ready as before; once nothing is to begin any more, it is cancelled with all below it."""
    life = Life(Past(two_chains()))
    life.began("a", "x")
    assert life.returned("x") == []
    life.began("x")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    assert life.returned("x") == ["cancel x", "cancel y"]
    assert (life.ends["a"], life.ends["x"], life.ends["y"]) == ("failed", "cancelled", "cancelled")
