"""The life of a run: histories of events, and the instructions that answer them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import Result
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.schedule import (
    Abandon,
    Began,
    Event,
    Failed,
    Finished,
    Instruction,
    Interrupted,
    Keep,
    Outdated,
    Restore,
    Restored,
    Run,
    Schedule,
    Seek,
    Skip,
    Sought,
    State,
    Stopped,
    Unrestorable,
)
from tests.core.builders import Past, graph, made, result, task
from tests.core.validation import validate_schedule


class Life:
    """A schedule that is told events in words, and answers in words; its state is checked after each."""

    def __init__(
        self, past: Past, *, keep_going: bool = False, forced: str = "", shared: Past | None = None
    ) -> None:
        forced_names = frozenset(TaskName(name) for name in forced.split())
        rules = Rules(forced=forced_names, seek_records=shared is not None)
        self._shared = shared
        self._graph = past.graph
        self.schedule = Schedule(past.graph, past.facts(), rules, keep_going=keep_going)
        self.started = self._said(self.schedule.start())

    def began(self, *names: str) -> list[str]:
        return [line for name in names for line in self._handle(Began(task=TaskName(name)))]

    def sought(self, name: str) -> list[str]:
        """Tell what the shared cache has for a task."""
        facts = self._shared.facts()[TaskName(name)] if self._shared else None
        records = facts.records if facts else ()
        return self._handle(Sought(task=TaskName(name), records=records, modules=facts.modules if facts else {}))

    def finished(self, name: str, text: str = "", **metrics: float) -> list[str]:
        """Tell that a task left a text in its outputs, by default what it left before."""
        outputs = (made(output.path, text or name) for output in self._graph.tasks[TaskName(name)].outputs)
        return self._handle(Finished(task=TaskName(name), result=result(*outputs, **metrics)))

    def failed(self, name: str) -> list[str]:
        return self._handle(Failed(task=TaskName(name)))

    def stopped(self, name: str) -> list[str]:
        return self._handle(Stopped(task=TaskName(name)))

    def restored(self, name: str) -> list[str]:
        return self._handle(Restored(task=TaskName(name)))

    def unrestorable(self, name: str) -> list[str]:
        return self._handle(Unrestorable(task=TaskName(name)))

    def interrupted(self) -> list[str]:
        return self._handle(Interrupted())

    def outdated(self, *names: str) -> list[str]:
        return self._handle(Outdated(tasks=frozenset(TaskName(name) for name in names)))

    @property
    def ends(self) -> dict[str, str]:
        """How every task ended; all must have."""
        assert self.schedule.done
        return {name: state.value for name, state in self.schedule.states.items()}

    def _handle(self, event: Event) -> list[str]:
        return self._said(self.schedule.handle(event))

    def _said(self, instructions: list[Instruction]) -> list[str]:
        validate_schedule(self.schedule, self._graph)
        return [_word(instruction) for instruction in instructions]


def _word(instruction: Instruction) -> str:
    match instruction:
        case Run(task=name, reasons=reasons):
            return f"run {name}: {', '.join(reasons)}"
        case Seek(task=name):
            return f"seek {name}"
        case Restore(task=name, missing=missing):
            return f"restore {name}: {' '.join(missing)}"
        case Keep(task=name):
            return f"keep {name}"
        case Skip(task=name, because=because):
            return f"skip {name}: {because}"
        case Abandon(task=name):
            return f"abandon {name}"


def _line(a: str = "work", b: str = "work", x: str = "work") -> Graph:
    """Make a -> b -> c, and x -> y beside it."""
    return graph(
        task("a", makes="a.csv", work=a),
        task("b", reads="a.csv", makes="b.csv", work=b),
        task("c", reads="b.csv", makes="c.csv"),
        task("x", makes="x.csv", work=x),
        task("y", reads="x.csv", makes="y.csv"),
    )


def _built() -> Past:
    return Past(_line()).ran("a").ran("b").ran("c").ran("x").ran("y")


NEW = "new: it has no result yet"


def test_nothing_to_do_ends_at_once() -> None:
    """Hits are kept in their order, and nothing waits."""
    life = Life(_built())
    assert life.started == ["keep a", "keep b", "keep c", "keep x", "keep y"]
    assert set(life.ends.values()) == {"up_to_date"}


def test_an_empty_graph_is_done() -> None:
    """No task, no instruction."""
    life = Life(Past(graph()))
    assert (life.started, life.ends) == ([], {})


def test_a_first_build_runs_everything_in_order() -> None:
    """Each task is told to run when what it needs has finished, not before."""
    life = Life(Past(_line()))
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
    life = Life(_built().now(_line(a="edited")))
    assert life.started == ["run a: command: edited", "keep x", "keep y"]
    life.began("a")
    assert life.finished("a") == ["keep b", "keep c"]
    assert life.ends == {"a": "ran", "b": "up_to_date", "c": "up_to_date", "x": "up_to_date", "y": "up_to_date"}


def test_other_outputs_run_what_reads_them() -> None:
    """The reason is the input; below it, the cut-off is tried again."""
    life = Life(_built().now(_line(a="edited")))
    life.began("a")
    assert life.finished("a", "other") == ["run b: input: a.csv changed"]
    life.began("b")
    assert life.finished("b") == ["keep c"]


def test_outputs_of_long_ago_are_a_hit_that_is_put_back() -> None:
    """A task that again makes what it made two builds ago has its dependents restored."""
    past = _built().left("a", "a.csv", text="other").left("b", "b.csv", text="from other")
    life = Life(past.now(_line(a="edited")))
    life.began("a")
    assert life.finished("a", "a") == ["restore b: b.csv"]
    assert life.restored("b") == ["keep c"]


def test_a_restored_task_releases_those_below_it_only_when_it_is_in_place() -> None:
    """They would read what is not there yet."""
    past = _built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.started == ["restore a: a.csv", "keep x", "keep y"]
    assert life.restored("a") == ["keep b", "keep c"]
    assert life.ends["a"] == "restored"


def test_what_cannot_be_restored_runs() -> None:
    """A record without its blobs costs an execution, and cuts off below as any other."""
    past = _built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.unrestorable("a") == ["run a: its blobs were not in the cache, or damaged"]
    life.began("a")
    assert life.finished("a") == ["keep b", "keep c"]
    assert life.ends["a"] == "ran"


def test_with_keep_going_all_that_does_not_need_the_failed_task_runs() -> None:
    """What is below the failure is skipped, in order, with the name of the task that failed."""
    life = Life(Past(_line()), keep_going=True)
    life.began("a")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    life.began("x")
    assert life.finished("x") == [f"run y: {NEW}"]
    life.began("y")
    life.finished("y")
    assert life.ends == {"a": "failed", "b": "skipped", "c": "skipped", "x": "ran", "y": "ran"}


def test_without_keep_going_nothing_begins_after_a_failure() -> None:
    """What was told to run is cancelled with all below it; what is below the failure is skipped."""
    life = Life(Past(_line()))
    life.began("a")
    assert life.failed("a") == ["skip b: a", "skip c: a", "abandon x", "abandon y"]
    assert life.ends == {"a": "failed", "b": "skipped", "c": "skipped", "x": "cancelled", "y": "cancelled"}


def test_without_keep_going_running_tasks_finish_and_nothing_follows_them() -> None:
    """A task that runs beside the failed one ends as it does; what it releases does not begin."""
    life = Life(Past(_line()))
    life.began("a", "x")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    assert life.finished("x") == ["abandon y"]
    assert (life.ends["x"], life.ends["y"]) == ("ran", "cancelled")


def test_without_keep_going_hits_are_still_put_in_place() -> None:
    """Wanted outputs are there wherever they can be had without executing."""
    past = _built()
    del past.present["y.csv"]
    life = Life(past.now(_line(a="edited", x="edited")))
    life.began("a", "x")
    assert life.failed("a") == ["skip b: a", "skip c: a"]
    assert life.finished("x") == ["restore y: y.csv"]
    assert life.restored("y") == []
    assert (life.ends["x"], life.ends["y"]) == ("ran", "restored")


def test_a_second_failure_says_what_it_skips() -> None:
    """Tasks that were running fail one after the other."""
    life = Life(Past(_line()))
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
    past = _built()
    del past.present["x.csv"]
    life = Life(past.now(_line(a="edited")))
    life.began("a")
    life.failed("a")
    assert life.unrestorable("x") == ["abandon x", "abandon y"]


def test_an_interruption_leaves_only_what_has_begun() -> None:
    """What is ready or waits is cancelled; a stopped task is cancelled, one that finished has run."""
    life = Life(Past(_line()))
    life.began("x")
    assert life.interrupted() == ["abandon a", "abandon b", "abandon c", "abandon y"]
    assert life.finished("x") == []
    assert life.ends == {"a": "cancelled", "b": "cancelled", "c": "cancelled", "x": "ran", "y": "cancelled"}


def test_a_stopped_task_is_cancelled() -> None:
    """So is everything that waited for it."""
    life = Life(Past(_line()), keep_going=True)
    life.began("a", "x")
    assert life.interrupted() == ["abandon b", "abandon y", "abandon c"]
    assert [*life.stopped("a"), *life.stopped("x")] == []
    assert set(life.ends.values()) == {"cancelled"}


def test_a_task_can_be_stopped_alone() -> None:
    """What waits for it is cancelled, what is beside it goes on."""
    life = Life(Past(_line()))
    life.began("a", "x")
    assert life.stopped("a") == ["abandon b", "abandon c"]
    assert life.finished("x") == [f"run y: {NEW}"]


def test_an_interruption_lets_a_restore_end() -> None:
    """Its file is in place or is not; those below it stay cancelled."""
    past = _built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.interrupted() == ["abandon b", "abandon c"]
    assert life.restored("a") == []
    assert life.ends["a"] == "restored"


def test_a_second_interruption_changes_nothing() -> None:
    """The user is impatient."""
    life = Life(Past(_line()))
    life.began("a")
    life.interrupted()
    assert life.interrupted() == []
    assert life.stopped("a") == []


def test_a_failure_after_an_interruption_is_a_failure() -> None:
    """It did fail; nothing is left to skip."""
    life = Life(Past(_line()))
    life.began("a")
    life.interrupted()
    assert life.failed("a") == []
    assert life.ends["a"] == "failed"


def test_what_is_outdated_does_not_begin() -> None:
    """What is ready or waits is cancelled, what is beside it goes on, what had begun ends as it does."""
    life = Life(Past(_line()))
    life.began("x")
    assert life.outdated("a", "b", "c", "x", "y") == ["abandon a", "abandon b", "abandon y", "abandon c"]
    assert life.finished("x") == []
    assert life.ends == {"a": "cancelled", "b": "cancelled", "c": "cancelled", "x": "ran", "y": "cancelled"}


def test_what_is_beside_an_outdated_task_goes_on() -> None:
    """A watch stops what has become pointless, nothing else."""
    life = Life(Past(_line()))
    assert life.outdated("a", "b", "c") == ["abandon a", "abandon b", "abandon c"]
    life.began("x")
    assert life.finished("x") == [f"run y: {NEW}"]


def test_an_outdated_restore_that_fails_is_cancelled() -> None:
    """It would have to run."""
    past = _built()
    del past.present["a.csv"]
    life = Life(past)
    assert life.outdated("a", "b", "c") == ["abandon b", "abandon c"]
    assert life.unrestorable("a") == ["abandon a"]


def test_a_forced_task_runs_and_those_below_it_cut_off() -> None:
    """Forcing is not contagious."""
    life = Life(_built(), forced="a y")
    assert life.started == ["run a: forced", "keep x", "run y: forced"]
    life.began("a")
    assert life.finished("a") == ["keep b", "keep c"]


def test_a_task_that_is_never_cached_cuts_off_below() -> None:
    """``cache = false`` concerns the task alone."""
    line = _line()
    tasks = [replace(item, policy=replace(item.policy, cache=item.name != "a")) for item in line.tasks.values()]
    life = Life(_built().now(graph(*tasks)))
    assert life.started == ["run a: cache = false", "keep x", "keep y"]
    life.began("a")
    assert life.finished("a") == ["keep b", "keep c"]


def test_a_value_that_was_read_decides_below() -> None:
    """What the task above logs in this run is what counts."""
    logs = graph(task("a", makes="a.csv"), task("b", after="a", makes="b.csv", work="b"))
    past = Past(logs).ran("a", auc=0.9).ran("b", saw=("a", "metrics", "auc"))
    for auc, said in ((0.9, "keep b"), (0.8, "run b: upstream value: a metrics.auc")):
        life = Life(past, forced="a")
        life.began("a")
        assert life.finished("a", auc=auc) == [said]


def test_the_results_above_a_task_are_of_all_above_it() -> None:
    """Those of hits and those of this run, and of nothing beside it."""
    life = Life(_built().now(_line(b="edited")))
    life.began("b")
    life.finished("b", "other")
    above = life.schedule.results_above(TaskName("c"))
    assert {name: _digest(found) for name, found in above.items()} == {
        "a": made("a.csv", "a").digest,
        "b": made("b.csv", "other").digest,
    }


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
        (Sought(task=TaskName("a")), "a is ready, not seeking"),
    ],
)
def test_an_event_that_cannot_be_is_refused(event: Event, message: str) -> None:
    """The state is what it was before."""
    life = Life(Past(_line()))
    before = dict(life.schedule.states)
    with pytest.raises(ValueError, match=message):
        life.schedule.handle(event)
    assert life.schedule.states == before


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


def test_a_miss_is_sought_before_it_runs() -> None:
    """Each task once, when all above it is known; what is not found runs."""
    life = Life(Past(_line()), shared=Past(_line()))
    assert life.started == ["seek a", "seek x"]
    assert life.sought("a") == [f"run a: {NEW}"]
    assert life.sought("x") == [f"run x: {NEW}"]
    life.began("a")
    assert life.finished("a") == ["seek b"]


def test_what_is_found_is_put_in_place_and_what_is_below_is_sought() -> None:
    """A record of others is a hit like one's own."""
    life = Life(Past(_line()), shared=_built())
    assert life.sought("a") == ["restore a: a.csv"]
    assert life.restored("a") == ["seek b"]
    assert life.sought("b") == ["restore b: b.csv"]


def test_a_found_record_whose_outputs_are_in_place_is_kept() -> None:
    """Nothing is restored, and what is below is sought in its turn."""
    here, there = _built(), _built()
    here.records.clear()
    life = Life(here, shared=there)
    assert life.sought("a") == ["keep a", "seek b"]
    assert life.sought("b") == ["keep b", "seek c"]


def test_a_local_hit_and_a_forced_task_are_not_sought() -> None:
    """The shared cache is asked about misses alone."""
    life = Life(_built(), shared=_built(), forced="x")
    assert life.started == ["keep a", "keep b", "keep c", "run x: forced"]


def test_what_is_sought_when_the_run_is_interrupted_does_not_begin() -> None:
    """The answer ends the task."""
    life = Life(Past(_line()), shared=Past(_line()))
    assert life.interrupted() == ["abandon b", "abandon y", "abandon c"]
    assert life.sought("a") == ["abandon a"]
    assert life.sought("x") == ["abandon x"]
    assert set(life.ends.values()) == {"cancelled"}


def test_blobs_that_cannot_be_put_in_place_after_all_make_a_found_task_run() -> None:
    """It is not sought twice."""
    life = Life(Past(_line()), shared=_built())
    life.sought("a")
    assert life.unrestorable("a") == ["run a: its blobs were not in the cache, or damaged"]
