"""Which of the ready tasks begins next, and what pools and priorities have to do with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nbmake_dag.core.model import Policy, Resources, Task, TaskName
from nbmake_dag.engine.dispatch.ready_queue import Queue
from nbmake_dag.execute.executor_kind import Backend
from tests.core.builders import task

SOMEWHERE = Backend(name="inline", module="nbmake_dag.execute.worker")


def wanting(name: str, pools: Mapping[str, int] | None = None, priority: int = 0, cpus: float = 1.0) -> Task:
    policy = Policy(pools=pools or {}, priority=priority, resources=Resources(cpus=cpus))
    return replace(task(name), policy=policy)


@dataclass
class World:
    """A queue, what runs of its tasks, and room for ``room`` of them at once."""

    queue: Queue
    running: dict[TaskName, Task]
    room: int = 1000

    @classmethod
    def of(cls, pools: Mapping[str, int], *tasks: Task, room: int = 1000, **chains: float) -> World:
        seconds = {each.name: chains.get(each.name, 1.0) for each in tasks}
        world = cls(Queue(seconds, pools), {}, room)
        for each in tasks:
            world.queue.add(each)
        return world

    def begin(self, now: float = 0.0) -> list[str]:
        begun: list[str] = []
        for each, _ in self.queue.placed(self._place, now):
            self.running[each.name] = each
            begun.append(each.name)
        return begun

    def end(self, name: str) -> Task:
        self.queue.release(TaskName(name))
        return self.running.pop(TaskName(name))

    def _place(self, _: Task) -> Backend | None:
        return SOMEWHERE if len(self.running) < self.room else None

    def in_use(self) -> Counter[str]:
        used: Counter[str] = Counter()
        for each in self.running.values():
            used.update(each.policy.pools)
        return used


def test_the_highest_priority_begins_first_then_the_longest_chain_then_the_first_that_was_ready():
    """A negative priority is for what can wait; a chain is measured in seconds of earlier runs."""
    tasks = [
        wanting("last", priority=-1),
        wanting("a"),
        wanting("b"),
        wanting("long"),
        wanting("first", priority=7),
    ]
    assert World.of({}, *tasks, long=5.0, last=100.0).begin() == ["first", "long", "a", "b", "last"]


def test_as_many_run_as_a_pool_has_places():
    """Tasks of other pools, and of none, do not wait; each end lets the next one begin."""
    tasks = [wanting(name, {"database": 1}) for name in "abc"]
    world = World.of({"database": 1, "api": 1}, *tasks, wanting("other", {"api": 1}), wanting("free"))
    assert world.begin() == ["a", "other", "free"]
    assert list(world.queue.waits()) == [("b", "database"), ("c", "database")]
    assert (len(world.begin()), len(list(world.queue.waits()))) == (0, 0)
    world.end("a")
    assert (world.begin(), list(world.queue.waits())) == (["b"], [])


def test_a_retry_that_waits_for_its_delay_holds_nothing():
    """Another task uses the pool meanwhile; when its time has come it waits again, and that is told again."""
    world = World.of({"database": 1}, wanting("a", {"database": 1}), wanting("b", {"database": 1}))
    assert (world.begin(), list(world.queue.waits())) == (["a"], [("b", "database")])
    world.queue.add(world.end("a"), not_before=5.0)
    assert (world.begin(4.0), list(world.queue.waits())) == (["b"], [])
    assert (world.begin(6.0), list(world.queue.waits())) == ([], [("a", "database")])
    world.end("b")
    assert world.begin(7.0) == ["a"]


def test_what_takes_much_of_a_pool_gets_its_turn():
    """Smaller tasks that became ready later do not overtake it, however many; what shares no pool does."""
    world = World.of(
        {"api": 2, "database": 1},
        wanting("a", {"api": 1}),
        wanting("b", {"api": 1}),
        wanting("big", {"api": 2, "database": 1}),
        wanting("c", {"api": 1}),
        wanting("d", {"database": 1}),
        wanting("e"),
    )
    assert world.begin() == ["a", "b", "e"]
    assert list(world.queue.waits()) == [("big", "api"), ("c", "api"), ("d", "database")]
    world.end("a")
    assert world.begin() == []
    world.end("b")
    assert world.begin() == ["big"]
    world.end("big")
    assert world.begin() == ["c", "d"]


def test_another_executor_would_not_help_what_waits_for_a_pool():
    """Only what waits for room counts when it is asked whether one is worth its start."""
    tasks = [wanting("a", {"database": 1}), wanting("b", {"database": 1}), wanting("free")]
    world = World.of({"database": 1}, *tasks, room=1)
    assert world.begin() == ["a"]
    assert world.queue.without_executor() == ["free"]


def test_a_task_that_was_removed_is_not_begun_and_not_said_to_wait():
    """Such as one that was cancelled."""
    world = World.of({"database": 1}, wanting("a", {"database": 1}), wanting("b", {"database": 1}))
    world.queue.remove(TaskName("b"))
    assert (world.begin(), list(world.queue.waits())) == (["a"], [])
    world.end("a")
    assert world.begin() == []


POOLS = {"x": 1, "y": 2, "z": 5}
PLACES = st.fixed_dictionaries({}, optional={name: st.integers(1, places) for name, places in POOLS.items()})


@given(
    st.lists(st.tuples(PLACES, st.integers(-1, 1), st.sampled_from([1.0, 2.0])), min_size=1, max_size=12),
    st.integers(1, 4),
    st.data(),
)
def test_no_pool_is_overdrawn_no_task_starves_and_none_is_overtaken(wanted, room, data):
    """Whatever ends, fails and is repeated in whatever order; while something is ready, something runs."""
    tasks = [wanting(f"t{number}", *each) for number, each in enumerate(wanted)]
    world = World.of(POOLS, *tasks, room=room)
    ready = {each.name: number for number, each in enumerate(tasks)}
    repeats, now, added = Counter(data.draw(st.lists(st.sampled_from(list(ready)), max_size=6))), 0.0, len(tasks)
    done: set[str] = set()
    while ready or world.running:
        now += 1.0
        for name in world.begin(now):
            begun = tasks[int(name[1:])]
            rank = -begun.policy.priority, ready.pop(TaskName(name))
            for other, since in ready.items():
                shared = begun.policy.pools.keys() & tasks[int(other[1:])].policy.pools.keys()
                assert not shared or (-tasks[int(other[1:])].policy.priority, since) > rank
        assert not world.in_use() - Counter(POOLS)
        assert world.running
        ended = data.draw(st.sampled_from(sorted(world.running)))
        again = world.end(ended)
        if repeats[ended]:
            repeats[ended] -= 1
            added += 1
            ready[again.name] = added
            world.queue.add(again, not_before=now)
        else:
            done.add(ended)
    assert done == {each.name for each in tasks}
