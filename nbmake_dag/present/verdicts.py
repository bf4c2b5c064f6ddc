"""A plan as text: what will run, may run or would be restored, and why."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, TypeAlias

from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag.core.plan import Undecided, Verdict
from nbmake_dag.engine.state.previous_results import LastFailure
from nbmake_dag.present.text import fit, plain

_LONGEST = 100
"""Columns of a failure."""

PlanStatus: TypeAlias = Literal["up_to_date", "restored", "stale", "undecided"]
"""What a plan expects of a task."""

STATUS: dict[type[Verdict], PlanStatus] = {
    UpToDate: "up_to_date",
    Restorable: "restored",
    Stale: "stale",
    Undecided: "undecided",
}


def status_of(verdict: Verdict) -> PlanStatus:
    return STATUS[type(verdict)]


def reasons_of(verdict: Verdict) -> tuple[str, ...]:
    match verdict:
        case Stale(reasons=reasons):
            return reasons
        case Restorable(reasons=reasons, changed=changed):
            texts = (
                f"output: {path} {'was changed' if path in changed else 'is not in place'}"
                for path in _telling_outputs(verdict)
            )
            return (*reasons, *texts)
        case Undecided(upstream=upstream, is_unknown=True):
            return (known_when(upstream),)
        case Undecided(upstream=upstream):
            return (f"depends on {', '.join(upstream)}",)
        case UpToDate():
            return ()


def known_when(upstream: Sequence[str]) -> str:
    """Return the reason why a family has no instances yet: what must run before."""
    return f"known when {' and '.join(upstream)} {'has' if len(upstream) == 1 else 'have'} run"


def codes_of(verdict: Verdict) -> tuple[str, ...]:
    """Return a stable code for each of `reasons_of`."""
    match verdict:
        case Stale(codes=codes):
            return codes
        case Restorable(codes=codes, changed=changed):
            outputs = _telling_outputs(verdict)
            return (*codes, *("output_changed" if path in changed else "output_missing" for path in outputs))
        case Undecided(is_unknown=True):
            return ("instances",)
        case Undecided():
            return ("upstream",)
        case UpToDate():
            return ()


def _telling_outputs(verdict: Restorable) -> tuple[ProjectPath, ...]:
    """Return the outputs that are not as any result left them, or all that differ where nothing else does."""
    if not verdict.reasons:
        return verdict.missing
    return tuple(path for path in verdict.missing if path in verdict.changed)


def describe_failure(task: TaskName, failure: LastFailure) -> str:
    """Return how a task failed that is stale since, and what shows more."""
    what = fit(plain(failure.what), _LONGEST)
    place = f" in {failure.cell}" if failure.cell else ""
    more = f"; `nbdag open {shlex.quote(task)} --failed` shows it" if failure.cell else ""
    return f"failed in run {failure.run_id}{place}: {what}{more}"


def describe_plan(
    verdicts: Mapping[TaskName, Verdict],
    failed: Callable[[TaskName], LastFailure | None] = lambda _: None,
    waits: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[str]:
    """Yield a line for every task that is not up to date, with how it ``failed`` before, then one that counts.

    ``waits`` has the pools that tasks of the build under way wait for.
    """
    words: dict[PlanStatus, str] = {"stale": "will run", "undecided": "may run", "restored": "restore"}
    width = max((len(name) for name in verdicts), default=0)
    for name, verdict in verdicts.items():
        for reason in reasons_of(verdict)[:1]:
            others = len(reasons_of(verdict)) - 1
            more = f" (and {others} more)" if others else ""
            more += f"; waits for {plain(waits[name])}" if name in waits else ""
            yield f"{words[status_of(verdict)]:<8}  {name:<{width}}  {reason}{more}"
            if isinstance(verdict, Stale) and (failure := failed(name)):
                yield f"{'':<8}  {'':<{width}}  {describe_failure(name, failure)}"
    counts = count(verdicts)
    tasks = "1 task" if len(verdicts) == 1 else f"{len(verdicts)} tasks"
    yield (
        f"{tasks}: {counts['stale']} will run, {counts['undecided']} may run,"
        f" {counts['restored']} to restore, {counts['up_to_date']} up to date"
    )


def count(verdicts: Mapping[TaskName, Verdict]) -> dict[str, int]:
    """Count tasks by `PlanStatus`."""
    counts: dict[str, int] = dict.fromkeys(STATUS.values(), 0)
    for verdict in verdicts.values():
        counts[status_of(verdict)] += 1
    return counts
