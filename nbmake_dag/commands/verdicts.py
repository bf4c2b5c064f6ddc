"""A plan in words: what will run, what may run, what would be put back, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Undecided, Verdict

STATUS = {UpToDate: "up_to_date", Restorable: "restored", Stale: "stale", Undecided: "undecided"}


def status_of(verdict: Verdict) -> str:
    return STATUS[type(verdict)]


def reasons_of(verdict: Verdict) -> tuple[str, ...]:
    match verdict:
        case Stale(reasons=reasons):
            return reasons
        case Restorable(missing=missing, changed=changed):
            return tuple(
                f"output: {path} {'was changed' if path in changed else 'is not in place'}" for path in missing
            )
        case Undecided(upstream=upstream):
            return (f"depends on {', '.join(upstream)}",)
        case UpToDate():
            return ()


def describe_plan(verdicts: Mapping[TaskName, Verdict]) -> Iterator[str]:
    """Yield a line for every task that is not up to date, then one that counts."""
    words = {"stale": "will run", "undecided": "may run", "restored": "restore"}
    width = max((len(name) for name in verdicts), default=0)
    for name, verdict in verdicts.items():
        for reason in reasons_of(verdict)[:1]:
            others = len(reasons_of(verdict)) - 1
            more = f" (and {others} more)" if others else ""
            yield f"{words[status_of(verdict)]:<8}  {name:<{width}}  {reason}{more}"
    counts = count(verdicts)
    tasks = "1 task" if len(verdicts) == 1 else f"{len(verdicts)} tasks"
    yield (
        f"{tasks}: {counts['stale']} will run, {counts['undecided']} may run,"
        f" {counts['restored']} to restore, {counts['up_to_date']} up to date"
    )


def count(verdicts: Mapping[TaskName, Verdict]) -> dict[str, int]:
    counts = dict.fromkeys(STATUS.values(), 0)
    for verdict in verdicts.values():
        counts[status_of(verdict)] += 1
    return counts
