"""What `nbdag bisect` found, as lines for a person and as a document."""

from __future__ import annotations

from collections.abc import Iterator

from nbmake_dag.core.bisection import Side
from nbmake_dag.observe.history import GitHistory
from nbmake_dag.present.text import plain
from nbmake_dag.present.units import coarse
from nbmake_dag.referee.bisect import Bisected, Estimate, Seen, shown
from nbmake_dag_reporting.documents import BisectDocument, BisectedCommit


def estimate_line(estimate: Estimate) -> str:
    """Describe what a search may cost."""
    commits = f"{estimate.candidates} commits, {estimate.known} of them known from runs"
    if not estimate.trials:
        return f"{commits}: nothing has to be executed"
    trials = f"about {estimate.trials} to try"
    if estimate.seconds is None:
        return f"{commits}: {trials}"
    return f"{commits}: {trials}, {coarse(estimate.seconds)} or less"


def seen_line(seen: Seen, history: GitHistory) -> str:
    """Describe what is known of one commit."""
    says = f"{shown(seen.answer)}" if seen.answer is not None else f"skipped: {seen.reason}"
    side = {Side.GOOD: "good", Side.BAD: "bad", Side.SKIPPED: ""}[seen.side]
    parts = [seen.commit[:10], side, plain(says), f"({_source(seen)})", plain(history.subject(seen.commit))]
    return "  ".join(part for part in parts if part)


def bisected_lines(found: Bisected, history: GitHistory) -> Iterator[str]:
    """Yield the result: the commit, and what is known of it and of the one before."""
    ends = f"{shown(found.good.answer)} → {shown(found.bad.answer)}"
    span = f"between {found.good.commit[:10]} and {found.bad.commit[:10]}"
    if not found.first:
        yield f"{found.question}: {ends} {span}"
        yield estimate_line(found.estimate)
        return
    first, *others = found.first
    if others:
        yield f"{found.question}: {ends} by one of {len(found.first)} commits; the others cannot be tried"
        for commit in found.first:
            yield f"  {commit[:10]}  {plain(history.subject(commit))}"
    elif found.before and found.after:
        change = f"{shown(found.before.answer)} → {shown(found.after.answer)}"
        yield f"{found.question}: {change} by commit {first[:10]}"
        yield f"  {plain(history.subject(first))} ({plain(history.author(first))})"
    for title, seen in (("before", found.before), ("after", found.after)):
        if seen:
            yield f"  {title:<6}  {seen.commit[:10]}  {shown(seen.answer)}  {_source(seen)}"
    yield f"{_count(found.executed, 'commit')} executed, {found.estimate.known} known from runs"


def bisect_document(found: Bisected, history: GitHistory) -> BisectDocument:
    """Describe the same for programs."""
    return BisectDocument(
        question=str(found.question),
        first=tuple(found.first),
        good=_commit(found.good, history),
        bad=_commit(found.bad, history),
        before=_commit(found.before, history) if found.before else None,
        after=_commit(found.after, history) if found.after else None,
        commits=tuple(_commit(each, history) for each in found.seen),
        candidates=found.estimate.candidates,
        known=found.estimate.known,
        trials=found.estimate.trials,
        seconds=found.estimate.seconds,
        executed=found.executed,
    )


def _commit(seen: Seen, history: GitHistory) -> BisectedCommit:
    return BisectedCommit(
        commit=seen.commit,
        subject=history.subject(seen.commit),
        side=seen.side.value,
        answer=seen.answer,
        run_id=seen.run_id or None,
        is_trial=seen.is_trial,
        executed=seen.executed,
        reason=seen.reason,
    )


def _source(seen: Seen) -> str:
    if not seen.run_id:
        return "not executed"
    if not seen.is_trial:
        return f"run {seen.run_id}"
    how = "" if seen.executed else ", from the cache"
    return f"trial {seen.run_id}{how}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
