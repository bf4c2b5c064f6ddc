"""A schedule that is told events in words, and answers in words."""

from __future__ import annotations

from nbmake_dag.core.decide import Rules
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Task, TaskName
from nbmake_dag.core.schedule import (
    Began,
    Cancel,
    Event,
    Execute,
    Expand,
    Expanded,
    Failed,
    Finished,
    GivenUp,
    Instruction,
    Interrupted,
    LookedUp,
    LookUp,
    MarkUpToDate,
    Outdated,
    Restore,
    Restored,
    Returned,
    Schedule,
    Skip,
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
        rules = Rules(forced=forced_names, look_up_records=shared is not None)
        self._shared = shared
        self._graph = past.graph
        self.schedule = Schedule(past.graph, past.facts(), rules, keep_going=keep_going)
        self.started = self._said(self.schedule.start())

    def began(self, *names: str) -> list[str]:
        return [line for name in names for line in self._handle(Began(task=TaskName(name)))]

    def returned(self, name: str) -> list[str]:
        return self._handle(Returned(task=TaskName(name)))

    def looked_up(self, name: str) -> list[str]:
        """Tell what the shared cache has for a task."""
        facts = self._shared.facts()[TaskName(name)] if self._shared else None
        records = facts.records if facts else ()
        return self._handle(LookedUp(task=TaskName(name), records=records, modules=facts.modules if facts else {}))

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

    def given_up(self, name: str) -> list[str]:
        return self._handle(GivenUp(task=TaskName(name)))

    def expanded(self, family: str, *tasks: Task) -> list[str]:
        """Tell what takes the place of a family that was not known, and what waits for it."""
        known = {name: each for name, each in self._graph.tasks.items() if not each.is_unknown}
        self._graph = graph(*{**known, **{each.name: each for each in tasks}}.values())
        facts = Past(self._graph).facts()
        return self._handle(Expanded(task=TaskName(family), graph=self._graph, facts=facts, rules=Rules()))

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
        case Execute(task=name, reasons=reasons):
            return f"run {name}: {', '.join(reasons)}"
        case LookUp(task=name):
            return f"look up {name}"
        case Restore(task=name, missing=missing):
            return f"restore {name}: {' '.join(missing)}"
        case MarkUpToDate(task=name):
            return f"up to date {name}"
        case Skip(task=name, because=because):
            return f"skip {name}: {because}"
        case Cancel(task=name):
            return f"cancel {name}"
        case Expand(task=name):
            return f"expand {name}"


def two_chains(a: str = "work", b: str = "work", x: str = "work") -> Graph:
    """Make a -> b -> c, and x -> y beside it."""
    return graph(
        task("a", makes="a.csv", work=a),
        task("b", reads="a.csv", makes="b.csv", work=b),
        task("c", reads="b.csv", makes="c.csv"),
        task("x", makes="x.csv", work=x),
        task("y", reads="x.csv", makes="y.csv"),
    )


def built() -> Past:
    return Past(two_chains()).ran("a").ran("b").ran("c").ran("x").ran("y")


NEW = "new: it has no result yet"
