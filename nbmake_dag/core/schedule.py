"""The life of a run as a state machine: events in, instructions out, no I/O.

Rules:

- A task is decided about when all above it have ended well; until then it waits.
- A miss is looked up in the shared cache, if there is one; a task that is not found there is executed.
- What ran and produced the digests of before leaves those below it untouched: they are decided about as ever.
- What is below a failed task is skipped. Without ``keep_going`` everything else that has not begun is cancelled at
  the first failure, but hits are still put in place, also those of the shared cache.
- A check that failed is the last of its kind: nothing is below it, and nothing is cancelled for it.
- After an interruption nothing begins any more, and a restore that has not begun is given up.
- A family whose instances are not known is expanded when all above it have ended well. What waits for it stands in
  the new graph with its true edges; all other tasks are as they were.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from enum import Enum
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.decide import Restorable, Rules, Stale, UpToDate, decide, standing_reason
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.lookup import Above, TaskKeys, task_keys
from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag_cache.record import Record


class State(Enum):
    """Where a task is in its life."""

    WAITING = "waiting"
    """Something above it has not ended."""
    LOOKING_UP = "looking_up"
    """The shared cache is asked for its record."""
    READY = "ready"
    """It was submitted, and has not begun."""
    RUNNING = "running"
    """An attempt has begun, and the last one has not ended."""
    RESTORING = "restoring"
    """Its outputs are being put back."""
    UP_TO_DATE = "up_to_date"
    RESTORED = "restored"
    RAN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


ENDED = frozenset({State.UP_TO_DATE, State.RESTORED, State.RAN, State.FAILED, State.SKIPPED, State.CANCELLED})


class Execute(msgspec.Struct, frozen=True, kw_only=True):
    """Execute a task as soon as there is room for it, and publish its record under ``keys``."""

    task: TaskName
    keys: TaskKeys
    reasons: tuple[str, ...]
    codes: tuple[str, ...]
    """A code for each reason."""


class LookUp(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the shared cache for a record of an execution that would be the same."""

    task: TaskName
    keys: TaskKeys


class Restore(msgspec.Struct, frozen=True, kw_only=True):
    """Put the outputs ``missing`` back from the cache."""

    task: TaskName
    record: Record
    missing: tuple[ProjectPath, ...]


class MarkUpToDate(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to do: the task is up to date."""

    task: TaskName
    record: Record


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """A task above failed: this one will not run."""

    task: TaskName
    because: TaskName


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """A task will not begin, though nothing above it failed."""

    task: TaskName


class Expand(msgspec.Struct, frozen=True, kw_only=True):
    """All that the instances of a family come from is there: find them, and answer `Expanded` or `Failed`."""

    task: TaskName


Instruction: TypeAlias = Execute | LookUp | Restore | MarkUpToDate | Skip | Cancel | Expand


class Began(msgspec.Struct, frozen=True, kw_only=True):
    """The first attempt at a ready task has begun."""

    task: TaskName


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """A task that was to begin did not: it waited behind another one."""

    task: TaskName


class LookedUp(msgspec.Struct, frozen=True, kw_only=True):
    """The shared cache has answered, perhaps about a task that was cancelled meanwhile.

    ``modules`` has the digests of those that the traces of ``records`` name.
    """

    task: TaskName
    records: tuple[Record, ...] = ()
    modules: Mapping[str, str] = {}


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A task ran and succeeded."""

    task: TaskName
    result: Result


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A task ran and failed, after its last attempt."""

    task: TaskName


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """A running task was ended by an interruption."""

    task: TaskName


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A task's outputs are in place again."""

    task: TaskName


class Unrestorable(msgspec.Struct, frozen=True, kw_only=True):
    """The cache did not have, intact, what a record names."""

    task: TaskName


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """The restore of a task had not begun when it was cancelled."""

    task: TaskName


class Interrupted(msgspec.Struct, frozen=True, kw_only=True):
    """The user has asked for the run to end."""


class Outdated(msgspec.Struct, frozen=True, kw_only=True):
    """Files of tasks have changed; with a task all below it are named. None of them begins any more."""

    tasks: frozenset[TaskName]


class Expanded(msgspec.Struct, frozen=True, kw_only=True):
    """The instances of a family are known, and perhaps those of others.

    ``graph`` has all tasks of before, but for such families; with ``facts`` of all, and ``rules`` that name them.
    """

    task: TaskName
    graph: Graph
    facts: Mapping[TaskName, Facts]
    rules: Rules


Event: TypeAlias = (
    Began
    | Returned
    | LookedUp
    | Finished
    | Failed
    | Stopped
    | Restored
    | Unrestorable
    | GivenUp
    | Interrupted
    | Outdated
    | Expanded
)


class Schedule:
    """Mutated through `start` and `handle` alone."""

    def __init__(self, graph: Graph, facts: Mapping[TaskName, Facts], rules: Rules, *, keep_going: bool) -> None:
        self.states: dict[TaskName, State] = dict.fromkeys(graph.order, State.WAITING)
        self._graph = graph
        self._facts = dict(facts)
        self._rules = rules
        self._keep_going = keep_going
        self._closed = False
        self._outdated: frozenset[TaskName] = frozenset()
        self._looked_up: set[TaskName] = set()
        self._results: dict[TaskName, Result] = dict(rules.left_out)
        self._records: dict[TaskName, Record] = {}
        self._because: dict[TaskName, TaskName] = {}
        self._position = {name: position for position, name in enumerate(graph.order)}
        self._missing = {name: len(graph.upstream[name]) for name in graph.order}
        self._open = len(graph.order)

    @property
    def results(self) -> Mapping[TaskName, Result]:
        """What the tasks that have ended well left."""
        return self._results

    @property
    def done(self) -> bool:
        """Whether every task has ended."""
        return not self._open

    @property
    def is_closed(self) -> bool:
        """Whether nothing begins any more; hits are still put in place."""
        return self._closed

    def upstream_results(self, task: TaskName) -> Mapping[TaskName, Result]:
        """Return the results of all tasks above one that may run."""
        return Above(task, self._graph, self._results)

    def start(self) -> list[Instruction]:
        return self._decide(name for name in self._graph.order if not self._missing[name])

    def handle(self, event: Event) -> list[Instruction]:  # noqa: C901, PLR0911 - one case for each event
        match event:
            case Began(task=task):
                self._move(task, State.READY, State.RUNNING)
                return []
            case Returned(task=task):
                return self._take_back(task)
            case LookedUp():
                return self._take_answer(event)
            case Finished(task=task, result=result):
                self._move(task, State.RUNNING, State.RAN)
                return self._below(task, result)
            case Failed(task=task):
                self._move(task, State.RUNNING, State.FAILED)
                goes_on = self._keep_going or self._graph.tasks[task].policy.check
                return [*self._skip_below(task), *([] if goes_on else self._close())]
            case Stopped(task=task):
                self._move(task, State.RUNNING, State.CANCELLED)
                return self._cancel_below(task)
            case Restored(task=task):
                self._move(task, State.RESTORING, State.RESTORED)
                record = self._records[task]
                return self._below(task, result_of(record, self._graph.tasks[task].parameters))
            case Unrestorable(task=task):
                self._move(task, State.RESTORING, State.WAITING)
                keys = task_keys(task, self._graph, self._facts[task], self._results)
                why = Stale(
                    reasons=("its blobs were not in the cache, or damaged",), keys=keys, codes=("blob_lost",)
                )
                return self._execute(task, keys, why)
            case GivenUp(task=task):
                self._move(task, State.RESTORING, State.CANCELLED)
                return [Cancel(task=task), *self._cancel_below(task)]
            case Expanded():
                return self._expand(event)
            case Interrupted():
                return [*self._close(), *self._cancel((State.LOOKING_UP, State.WAITING))]
            case Outdated(tasks=tasks):
                self._outdated |= tasks
                return [*self._cancel((State.LOOKING_UP, State.READY, State.WAITING), tasks)]

    def _take_answer(self, event: LookedUp) -> list[Instruction]:
        task, facts = event.task, self._facts[event.task]
        if self.states[task] is State.CANCELLED:
            return []
        self._move(task, State.LOOKING_UP, State.WAITING)
        self._facts[task] = replace(
            facts, records=(*event.records, *facts.records), modules={**facts.modules, **event.modules}
        )
        return self._decide((task,))

    def _take_back(self, task: TaskName) -> list[Instruction]:
        self._move(task, State.RUNNING, State.READY)
        if self._may_begin(task):
            return []
        self._enter(task, State.CANCELLED)
        return [Cancel(task=task), *self._cancel_below(task)]

    def _expand(self, event: Expanded) -> list[Instruction]:
        graph = event.graph
        if event.task in graph.tasks:
            raise ValueError(f"the instances of {event.task} are not known")
        self.states = {name: self.states.get(name, State.WAITING) for name in graph.order}
        waiting = [name for name in graph.order if self.states[name] is State.WAITING]
        self._facts = {**event.facts, **{name: self._facts[name] for name in graph.tasks.keys() - set(waiting)}}
        self._graph = graph
        self._rules = event.rules
        self._position = {name: position for position, name in enumerate(graph.order)}
        self._open = sum(state not in ENDED for state in self.states.values())
        instructions: list[Instruction] = []
        for name in waiting:
            above = {self.states[other]: other for other in graph.upstream[name]}
            if State.FAILED in above or State.SKIPPED in above:
                failed = above.get(State.FAILED) or self._because[above[State.SKIPPED]]
                instructions.append(self._skip(name, failed))
            elif State.CANCELLED in above:
                self._enter(name, State.CANCELLED)
                instructions.append(Cancel(task=name))
        self._missing = {
            name: sum(other not in self._results for other in graph.upstream[name]) for name in graph.order
        }
        ready = (name for name in waiting if self.states[name] is State.WAITING and not self._missing[name])
        return [*instructions, *self._decide(ready)]

    def _move(self, task: TaskName, before: State, after: State) -> None:
        if self.states[task] is not before:
            raise ValueError(f"{task} is {self.states[task].value}, not {before.value}")
        self._enter(task, after)

    def _enter(self, task: TaskName, state: State) -> None:
        self.states[task] = state
        if state in ENDED:
            self._open -= 1

    def _below(self, task: TaskName, result: Result) -> list[Instruction]:
        self._results[task] = result
        return self._decide(self._released(task))

    def _released(self, task: TaskName) -> list[TaskName]:
        """Return the tasks that waited for this one alone."""
        ready: list[TaskName] = []
        for other in self._graph.downstream[task]:
            self._missing[other] -= 1
            if not self._missing[other] and self.states[other] is State.WAITING:
                ready.append(other)
        return ready

    def _decide(self, names: Iterable[TaskName]) -> list[Instruction]:
        instructions: list[Instruction] = []
        waiting = list(names)[::-1]
        while waiting:
            name = waiting.pop()
            if self._graph.tasks[name].is_unknown:
                self._enter(name, State.RUNNING)
                instructions.append(Expand(task=name))
                continue
            decision = decide(name, self._graph, self._facts[name], self._results, self._rules)
            match decision:
                case UpToDate(record=record):
                    self._enter(name, State.UP_TO_DATE)
                    self._results[name] = result_of(record, self._graph.tasks[name].parameters)
                    instructions.append(MarkUpToDate(task=name, record=record))
                    waiting += self._released(name)[::-1]
                case Restorable(record=record, missing=missing):
                    self._enter(name, State.RESTORING)
                    self._records[name] = record
                    instructions.append(Restore(task=name, record=record, missing=missing))
                case Stale(keys=keys):
                    if keys is None:
                        raise ValueError(f"{name} was decided about before all above it was known")
                    if self._may_be_found(name):
                        self._looked_up.add(name)
                        self._enter(name, State.LOOKING_UP)
                        instructions.append(LookUp(task=name, keys=keys))
                    else:
                        instructions += self._execute(name, keys, decision)
        return instructions

    def _may_be_found(self, task: TaskName) -> bool:
        """Return whether the shared cache is still to be asked about a miss."""
        asks = self._rules.look_up_records and task not in self._looked_up
        return asks and task not in self._outdated and not standing_reason(self._graph.tasks[task], self._rules)

    def _may_begin(self, task: TaskName) -> bool:
        return not (self._closed or task in self._outdated)

    def _execute(self, task: TaskName, keys: TaskKeys, why: Stale) -> list[Instruction]:
        if not self._may_begin(task):
            self._enter(task, State.CANCELLED)
            return [Cancel(task=task), *self._cancel_below(task)]
        self._enter(task, State.READY)
        return [Execute(task=task, keys=keys, reasons=why.reasons, codes=why.codes)]

    def _skip_below(self, failed: TaskName) -> list[Instruction]:
        return [self._skip(name, failed) for name in self._waiting_below(failed)]

    def _skip(self, name: TaskName, failed: TaskName) -> Skip:
        self._enter(name, State.SKIPPED)
        self._because[name] = failed
        return Skip(task=name, because=failed)

    def _cancel_below(self, task: TaskName) -> list[Instruction]:
        instructions: list[Instruction] = []
        for name in self._waiting_below(task):
            self._enter(name, State.CANCELLED)
            instructions.append(Cancel(task=name))
        return instructions

    def _waiting_below(self, task: TaskName) -> list[TaskName]:
        below = (name for name in self._graph.with_downstream((task,)) if self.states[name] is State.WAITING)
        return sorted(below, key=self._position.__getitem__)

    def _close(self) -> list[Instruction]:
        """Let nothing begin any more."""
        self._closed = True
        instructions: list[Instruction] = []
        for instruction in self._cancel((State.READY,)):
            instructions += [instruction, *self._cancel_below(instruction.task)]
        return instructions

    def _cancel(self, states: Container[State], among: Container[TaskName] | None = None) -> list[Cancel]:
        names = [
            name for name in self._graph.order if self.states[name] in states and (among is None or name in among)
        ]
        for name in names:
            self._enter(name, State.CANCELLED)
        return [Cancel(task=name) for name in names]
