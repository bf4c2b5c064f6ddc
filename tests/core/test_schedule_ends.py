"""Failures, interruptions and outdated tasks: what goes on, and what is skipped or cancelled."""

from __future__ import annotations

from nbmake_dag.core.decide import Rules
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import (
    Began,
    Failed,
    Schedule,
    Skip,
    State,
)
from tests.core.builders import Past, graph, task
from tests.core.lives import NEW, Life, built, two_chains


def test_with_keep_going_all_that_does_not_need_the_failed_task_runs() -> None:
    """What is below the failure is skipped, in order, with the name of the task that failed."""
    life = Life(Past(two_chains()), keep_going=True)
    life.began("a")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    life.began("x")
    assert life.finished("x") == [f"run y: {NEW}"]
    life.began("y")
    life.finished("y")
    assert life.ends == {"a": "failed", "b": "skipped", "c": "skipped", "x": "ran", "y": "ran"}


def test_without_keep_going_nothing_begins_after_a_failure() -> None:
    """What was told to run is cancelled with all below it; what is below the failure is skipped."""
    life = Life(Past(two_chains()))
    life.began("a")
    assert life.failed("a") == ["skip b: a", "skip c: a", "cancel x", "cancel y"]
    assert life.ends == {"a": "failed", "b": "skipped", "c": "skipped", "x": "cancelled", "y": "cancelled"}


def test_a_failed_check_stops_and_skips_nothing() -> None:
    """Neither what was told to run nor what still waits; a task that fails stops them all the same."""
    whole = graph(
        task("a", makes="a"), task("c", reads="a", check=True), task("b", reads="a"), task("d", after="b")
    )
    life = Life(Past(whole))
    life.began("a")
    assert life.finished("a") == [f"run c: {NEW}", f"run b: {NEW}"]
    life.began("c")
    assert life.failed("c") == []
    life.began("b")
    assert life.finished("b") == [f"run d: {NEW}"]
    life.began("d")
    life.finished("d")
    assert life.ends == {"a": "ran", "c": "failed", "b": "ran", "d": "ran"}
    life = Life(Past(whole))
    life.began("a")
    assert life.failed("a") == ["skip c: a", "skip b: a", "skip d: a"]


def test_without_keep_going_running_tasks_finish_and_nothing_follows_them() -> None:
    """A task that runs beside the failed one ends as it does; what it releases does not begin."""
    life = Life(Past(two_chains()))
    life.began("a", "x")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    assert life.finished("x") == ["cancel y"]
    assert (life.ends["x"], life.ends["y"]) == ("ran", "cancelled")


def test_without_keep_going_hits_are_still_put_in_place() -> None:
    """Wanted outputs are there wherever they can be had without executing."""
    past = built()
    del past.present["y.csv"]
    life = Life(past.now(two_chains(a="edited", x="edited")))
    life.began("a", "x")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    assert life.finished("x") == ["restore y: y.csv"]
    assert life.restored("y") == []
    assert (life.ends["x"], life.ends["y"]) == ("ran", "restored")


def test_a_second_failure_says_what_it_skips() -> None:
    """Tasks that were running fail one after the other."""
    life = Life(Past(two_chains()))
    life.began("a", "x")
    life.failed("a")
    assert life.failed("x") == ["skip y: x"]
    assert life.ends == {"a": "failed", "b": "skipped", "c": "skipped", "x": "failed", "y": "skipped"}


def test_a_task_below_two_failures_is_skipped_once() -> None:
    """The first failure is its reason."""
    both = graph(task("a", makes="a"), task("b", makes="b"), task("c", reads="a b"))
    life = Life(Past(both), keep_going=True)
    life.began("a", "b")
    assert life.failed("b") == ["skip c: b"]
    assert life.failed("a") == []


def test_a_failure_skips_what_only_comes_after_it() -> None:
    """``after`` is a need."""
    life = Life(Past(graph(task("a"), task("b", after="a"))), keep_going=True)
    life.began("a")
    assert life.failed("a") == ["skip b: a"]


def test_a_restore_that_fails_after_a_failure_is_cancelled() -> None:
    """Nothing new begins, and what is below it is cancelled too."""
    past = built()
    del past.present["x.csv"]
    life = Life(past.now(two_chains(a="edited")))
    life.began("a")
    life.failed("a")
    assert life.unrestorable("x") == ["cancel x", "cancel y"]


def test_an_interruption_leaves_only_what_has_begun() -> None:
    """What is ready or waits is cancelled; a stopped task is cancelled, one that finished has run."""
    life = Life(Past(two_chains()))
    life.began("x")
    assert life.interrupted() == ["cancel a", "cancel b", "cancel c", "cancel y"]
    assert life.finished("x") == []
    assert life.ends == {"a": "cancelled", "b": "cancelled", "c": "cancelled", "x": "ran", "y": "cancelled"}


def test_a_stopped_task_is_cancelled() -> None:
    """So is everything that waited for it."""
    life = Life(Past(two_chains()), keep_going=True)
    life.began("a", "x")
    assert life.interrupted() == ["cancel b", "cancel y", "cancel c"]
    assert [*life.stopped("a"), *life.stopped("x")] == []
    assert set(life.ends.values()) == {"cancelled"}


def test_a_task_can_be_stopped_alone() -> None:
    """What waits for it is cancelled, what is beside it goes on."""
    life = Life(Past(two_chains()))
    life.began("a", "x")
    assert life.stopped("a") == ["cancel b", "cancel c"]
    assert life.finished("x") == [f"run y: {NEW}"]


def test_an_interruption_lets_a_restore_end() -> None:
    """Its file is in place or is not; those below it stay cancelled."""
    past = built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.interrupted() == ["cancel b", "cancel c"]
    assert life.restored("a") == []
    assert life.ends["a"] == "restored"


def test_a_restore_that_has_not_begun_is_given_up() -> None:
    """After an interruption, or alone: what waits for it is cancelled, what is beside it goes on."""
    past = built()
    del past.present["a.csv"]
    life = Life(past)
    life.interrupted()
    assert life.given_up("a") == ["cancel a"]
    assert life.ends["a"] == "cancelled"
    life = Life(past)
    assert life.given_up("a") == ["cancel a", "cancel b", "cancel c"]
    assert life.ends["x"] == "up_to_date"


def test_a_second_interruption_changes_nothing() -> None:
    """The user is impatient."""
    life = Life(Past(two_chains()))
    life.began("a")
    life.interrupted()
    assert life.interrupted() == []
    assert life.stopped("a") == []


def test_a_failure_after_an_interruption_is_a_failure() -> None:
    """It did fail; nothing is left to skip."""
    life = Life(Past(two_chains()))
    life.began("a")
    life.interrupted()
    assert life.failed("a") == []
    assert life.ends["a"] == "failed"


def test_what_is_outdated_does_not_begin() -> None:
    """What is ready or waits is cancelled, what is beside it goes on, what had begun ends as it does."""
    life = Life(Past(two_chains()))
    life.began("x")
    assert life.outdated("a", "b", "c", "x", "y") == ["cancel a", "cancel b", "cancel y", "cancel c"]
    assert life.finished("x") == []
    assert life.ends == {"a": "cancelled", "b": "cancelled", "c": "cancelled", "x": "ran", "y": "cancelled"}


def test_what_is_beside_an_outdated_task_goes_on() -> None:
    """A watch stops what has become pointless, nothing else."""
    life = Life(Past(two_chains()))
    assert life.outdated("a", "b", "c") == ["cancel a", "cancel b", "cancel c"]
    life.began("x")
    assert life.finished("x") == [f"run y: {NEW}"]


def test_an_outdated_restore_that_fails_is_cancelled() -> None:
    """It would have to run."""
    past = built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.outdated("a", "b", "c") == ["cancel b", "cancel c"]
    assert life.unrestorable("a") == ["cancel a"]


def test_many_failures_do_not_look_at_everything_each_time() -> None:
    """With ``keep_going`` 5,000 failing tasks are told apart from 5,000 skipped ones."""
    pairs = [item for n in range(5_000) for item in (task(f"a{n}", makes=f"{n}"), task(f"b{n}", reads=f"{n}"))]
    wide = graph(*pairs)
    schedule = Schedule(wide, Past(wide).facts(), Rules(), keep_going=True)
    schedule.start()
    for n in range(5_000):
        schedule.handle(Began(task=TaskName(f"a{n}")))
        assert schedule.handle(Failed(task=TaskName(f"a{n}"))) == [
            Skip(task=TaskName(f"b{n}"), because=TaskName(f"a{n}"))
        ]
    assert schedule.done


def test_the_states_that_end_a_task_are_the_statuses_of_a_run() -> None:
    """Six words, as the summary and the spans have them."""
    assert [state.value for state in State][5:] == [
        "up_to_date",
        "restored",
        "ran",
        "failed",
        "skipped",
        "cancelled",
    ]
