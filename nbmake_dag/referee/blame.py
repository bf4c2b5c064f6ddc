"""`nbdag blame`: find which of the changes between two runs carry the difference of a metric.

Mixes of the two sides are executed in private copies, from scratch as far as the runs differ; delta debugging
chooses the mixes. Both sides are executed first: what varies between executions of the same is noise, and where
the difference is not beyond it nothing is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import product
from math import ceil, log2

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.bisection import Revision
from nbmake_dag.core.delta import Outcome, smallest
from nbmake_dag.core.effect import Effect
from nbmake_dag.core.model import Pipeline, TaskName
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.history import GitHistory
from nbmake_dag.observe.project import Project
from nbmake_dag.referee.environment import passed_to
from nbmake_dag.referee.mixing import Change
from nbmake_dag.referee.order import Base, Order, Tried
from nbmake_dag.referee.question import Metric, answers, told_by_run, told_by_trial
from nbmake_dag.referee.sides import Difference, Side, bases_of, difference, is_own, side_of
from nbmake_dag.referee.trial import Trials
from nbmake_dag_reporting.bundle import Recorded

_SHARE = 0.1


class Finding(Enum):
    """What came out."""

    FOUND = "found"
    """The changes that are named carry the difference."""
    NOISE = "noise"
    """The difference is not beyond what executions of the same differ by."""
    ELSEWHERE = "elsewhere"
    """Executed again, the two sides do not differ as the runs do: something that cannot be mixed made it."""
    UNCLEAR = "unclear"
    """Without the changes that carry it, the difference is there as well."""
    PLANNED = "planned"
    """Nothing was executed."""


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """A trial of some of the changes: what it measured each time, and why it measured nothing."""

    changes: frozenset[int]
    values: tuple[float, ...] = ()
    run_ids: tuple[str, ...] = ()
    executed: int = 0
    """How often anything was executed for it."""
    problem: str = ""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a search may cost: trials for one guilty change, and the time of all; ``None`` where unknown."""

    changes: int
    trials: int
    seconds: float


class Blamed(msgspec.Struct, frozen=True, kw_only=True):
    """The result. ``culprits`` are places among ``changes``."""

    pipeline: str
    task: TaskName
    """The one that logs the metric."""
    metric: Metric
    before: str
    after: str
    value_before: float
    value_after: float
    changes: tuple[Change, ...]
    machine: tuple[str, ...]
    cost: Cost
    finding: Finding = Finding.PLANNED
    culprits: tuple[int, ...] = ()
    explained: float | None = None
    """By how much the culprits change the metric, together."""
    alone: tuple[float | None, ...] = ()
    """And each of several by itself; ``None`` where that was not measured, or does not run."""
    others: float | None = None
    """By how much all other changes together change it."""
    noise: float = 0.0
    """The standard deviation of one measurement."""
    mixes: tuple[Mix, ...] = ()

    @property
    def executed(self) -> int:
        """How many trials executed anything."""
        return sum(mix.executed for mix in self.mixes)


class Accused(msgspec.Struct, frozen=True, kw_only=True):
    """What `nbdag blame` was asked."""

    times: int = 1
    jobs: int = 1
    trust: bool = False
    secrets: bool = False


@dataclass(slots=True)
class Blame:
    """One search between two runs. ``approve`` is asked before anything is executed, ``tell`` gets each mix."""

    project: Project
    pipeline: Pipeline
    metric: Metric
    before: Recorded
    after: Recorded
    accused: Accused
    approve: Callable[[Cost], None]
    tell: Callable[[Mix, int], None]
    _trials: Trials = field(init=False)
    _difference: Difference = field(init=False)
    _sides: tuple[Side, Side] = field(init=False)
    _changes: tuple[Change, ...] = ()
    _task: TaskName = field(init=False)
    _mixes: dict[frozenset[int], Mix] = field(default_factory=dict[frozenset[int], Mix])

    def __post_init__(self) -> None:
        self._trials = Trials(self.project)
        self._task = self._common_task()

    def plan(self) -> Blamed:
        """Return the changes, and what the search may cost; raises `UsageError` where there is none."""
        for bases in self._bases():
            if (planned := self._begin(*bases)) is not None:
                return planned
        raise self._nothing_differs()

    def run(self) -> Blamed:
        """Find the changes that carry the difference; raises `UsageError` where the runs cannot be made again."""
        self._refuse_strangers()
        why, is_approved = "", False
        for bases in self._bases():
            planned = self._begin(*bases)
            if planned is None:
                continue
            if not is_approved:
                self.approve(planned.cost)
                is_approved = True
            why = self._measure_sides()
            if not why:
                return self._search(planned)
            self._mixes.clear()
        if not why:
            raise self._nothing_differs()
        hint = "a run of a commit, without changes that were not committed, can be made again"
        raise UsageError("a run cannot be made again as it was", (("because", why),), hint)

    # the sides

    def _common_task(self) -> TaskName:
        found = [set(answers(self.metric, told_by_run(recorded.run))) for recorded in (self.before, self.after)]
        for recorded, tasks in zip((self.before, self.after), found, strict=True):
            if not tasks:
                raise UsageError(f"run {recorded.run.id} has no metric `{self.metric}`")
        common = sorted(found[0] & found[1])
        if len(common) != 1:
            what = "no task logs it in both runs" if not common else f"name one: {common[0]}:{self.metric.name}"
            raise UsageError(f"it is not certain which task `{self.metric}` is of", (), what)
        return common[0]

    def _bases(self) -> list[tuple[Base, Base]]:
        old, new = (bases_of(recorded) for recorded in (self.before, self.after))
        return list(product(old, new))

    def _refuse_strangers(self) -> None:
        """Raise `UsageError` for a run whose code no local branch reaches, unless it is trusted."""
        history = GitHistory(repository=self.project.repository)
        for recorded in () if self.accused.trust else (self.before, self.after):
            vcs = recorded.run.vcs
            commit = vcs.merge_revision or vcs.head_revision
            if history.is_on_a_branch(Revision(commit)) if commit else is_own(self.project, recorded):
                continue
            what = f"no local branch reaches the code of run {recorded.run.id}"
            hint = "if you trust it, add --trust; or check a branch out that has it"
            raise UsageError(what, (("commit", commit or "unknown"),), hint)

    def _nothing_differs(self) -> UsageError:
        """Return what to say where no change was found, whatever the runs began with."""
        if files := self._difference.files:
            facts = tuple(("differs", name) for name in files[:5])
            hint = "a run of a commit, without changes that were not committed, can be made again"
            return UsageError("what differs between the runs is not stored as they had it", facts, hint)
        machine = self._difference.machine
        facts = (("differs", ", ".join(machine)),) if machine else ()
        hint = "" if machine else "`nbdag replay` says whether its results can be made again at all"
        return UsageError(f"nothing that `{self.metric}` is made of differs between the runs", facts, hint)

    def _begin(self, old: Base, new: Base) -> Blamed | None:
        """Find the changes between the runs, if they began with these; ``None`` where there is none."""
        self._sides = (
            side_of(self.project, self.before, self._task, old, trusted=self.accused.trust),
            side_of(self.project, self.after, self._task, new, trusted=self.accused.trust),
        )
        self._difference = difference(self.project, *self._sides)
        self._changes = self._difference.sides.changes()
        values = [self._recorded(recorded) for recorded in (self.before, self.after)]
        if not self._changes:
            return None
        count = len(self._changes)
        trials = (2 + 2 * ceil(log2(count + 1)) + 1) * self.accused.times
        records = [
            self._sides[1].records[name] for name in self._difference.tasks if name in self._sides[1].records
        ]
        seconds = sum(record.origin.duration_s for record in records) * trials
        return Blamed(
            pipeline=self.after.run.pipeline,
            task=self._task,
            metric=self.metric,
            before=self.before.run.id,
            after=self.after.run.id,
            value_before=values[0],
            value_after=values[1],
            changes=self._changes,
            machine=self._difference.machine,
            cost=Cost(changes=count, trials=trials, seconds=seconds),
        )

    def _recorded(self, recorded: Recorded) -> float:
        return float(answers(self.metric, told_by_run(recorded.run))[self._task])

    def _measure_sides(self) -> str:
        """Execute both sides; return why one of them is not what its run was, if that is so."""
        every = frozenset(range(len(self._changes)))
        with self._trials.at_once(self.accused.jobs) as threads:
            for side, mix in zip(self._sides, threads.map(self._execute, (frozenset[int](), every)), strict=True):
                self._mixes[mix.changes] = mix
                if not mix.values:
                    return f"run {side.run_id}: {mix.problem}"
                self.tell(mix, len(self._changes))
        return ""

    # the search

    def _search(self, planned: Blamed) -> Blamed:
        every = frozenset(range(len(self._changes)))
        again = self._mixes[frozenset()].values, self._mixes[every].values
        effect = Effect(
            before=(planned.value_before, *again[0]),
            after=(planned.value_after, *again[1]),
            tolerance=self.metric.declared.tolerance,
        )
        if not effect.is_beyond_noise:
            repeated = Effect(before=again[0], after=again[1], tolerance=self.metric.declared.tolerance)
            quiet = abs(repeated.difference) <= max(_SHARE * abs(planned.value_after - planned.value_before), 0.0)
            finding = Finding.ELSEWHERE if quiet and self._is_steady(again) else Finding.NOISE
            return replace(planned, finding=finding, noise=effect.noise, mixes=tuple(self._mixes.values()))

        def test(some: frozenset[int]) -> Outcome:
            return effect.outcome(self._mix(some).values)

        culprits = smallest(range(len(self._changes)), test)
        rest = self._mix(every.difference(culprits)) if len(culprits) < len(every) else None
        is_clear = rest is None or not rest.values or effect.outcome(rest.values) is not Outcome.CARRIES
        singles = [self._mixes.get(frozenset({each})) for each in culprits]
        return replace(
            planned,
            finding=Finding.FOUND if is_clear else Finding.UNCLEAR,
            culprits=culprits,
            explained=effect.explained(self._mix(frozenset(culprits)).values),
            alone=tuple(effect.explained(mix.values) if mix and mix.values else None for mix in singles),
            others=effect.explained(rest.values) if rest and rest.values else None,
            noise=effect.noise,
            mixes=tuple(self._mixes.values()),
        )

    @staticmethod
    def _is_steady(again: tuple[tuple[float, ...], tuple[float, ...]]) -> bool:
        """Return whether each side measured the same whenever it was executed here, more than once."""
        return all(len(values) > 1 and len(set(values)) == 1 for values in again)

    def _mix(self, some: frozenset[int]) -> Mix:
        if some not in self._mixes:
            self._mixes[some] = self._execute(some)
            self.tell(self._mixes[some], len(self._changes))
        return self._mixes[some]

    def _execute(self, some: frozenset[int]) -> Mix:
        """Execute a mix as often as it is to be; each time has results of its own, all the way up."""
        with self._trials.at_once(self.accused.jobs) as threads:
            tried = list(threads.map(partial(self._try, some), range(1, self.accused.times + 1)))
        values = [
            float(value)
            for each in tried
            for name, value in answers(self.metric, told_by_trial(each)).items()
            if name == self._task
        ]
        return Mix(
            changes=some,
            values=tuple(values) if len(values) == len(tried) else (),
            run_ids=tuple(each.run_id for each in tried if each.run_id),
            executed=sum(each.executed > 0 for each in tried),
            problem=next(filter(None, map(_problem, tried)), "") if len(values) < len(tried) else "",
        )

    def _try(self, some: frozenset[int], number: int) -> Tried:
        found = self._difference
        files, overrides = found.sides.mixed([self._changes[each] for each in some], f"blame {number}")
        ends = {0: self._sides[0], len(self._changes): self._sides[1]}
        side = ends.get(len(some))
        tasks = found.tasks if found.given or side is not None else (self._task,)
        records = side.records if side else {}
        tasks = tuple(name for name in tasks if side is None or name in records)
        return self._trials.run(
            Order(
                kind="blame",
                tasks=tasks,
                base=self._sides[0].base,
                files={**found.common, **files},
                given=found.given,
                alone=bool(found.given),
                overrides=overrides,
                sandboxed=False,
                passed=passed_to(self.pipeline, secrets=self.accused.secrets),
                same={name: records[name].ingredients for name in tasks if name in records},
            )
        )


def _problem(tried: Tried) -> str:
    """Return why a trial measured nothing."""
    if tried.problem:
        return tried.problem
    for name, task in tried.tasks.items():
        if task.other:
            return f"task `{name}` is not as it was: {task.other[0]}"
    return next((f"task `{name}`: {task.failure}" for name, task in tried.tasks.items() if task.failure), "")
