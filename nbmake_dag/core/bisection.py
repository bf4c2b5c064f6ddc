"""Bisection of a history: which commits to try next, and what is known once no other can be tried.

The choice of the commit in the middle is git's own (`git rev-list --bisect-all`), behind the protocol `History`;
so are the rules: a commit that cannot be tried is skipped, and a commit beside it is tried next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from graphlib import TopologicalSorter
from typing import NewType, Protocol

import msgspec

Revision = NewType("Revision", str)


class Side(Enum):
    """What a commit was found to be."""

    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"
    """It cannot be tried, or says nothing."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that may be the first bad one."""

    commit: Revision
    parents: tuple[Revision, ...]
    halving: int
    """How many candidates a trial of it rules out at least: 0 for the bad one itself."""


class History(Protocol):
    """The commits of a repository."""

    def candidates(self, bad: Revision, good: Sequence[Revision]) -> Sequence[Candidate]:
        """Return the commits that ``bad`` has and no ``good`` one, ``bad`` included."""
        ...


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a history: the first bad commit is among ``candidates``, of which ``bad`` is one."""

    bad: Revision
    good: tuple[Revision, ...]
    candidates: tuple[Candidate, ...]

    def first_bad(self, sides: Mapping[Revision, Side]) -> tuple[Revision, ...] | None:
        """Return the first bad commit, several if some of them cannot be tried; ``None`` if others can."""
        left = [each.commit for each in self.candidates if each.commit != self.bad]
        if any(commit not in sides for commit in left):
            return None
        return (self.bad, *left)


def narrowed(history: History, bad: Revision, good: Sequence[Revision], sides: Mapping[Revision, Side]) -> Range:
    """Narrow a history by all that is known of its commits."""
    while True:
        candidates = tuple(history.candidates(bad, good))
        fine = [each.commit for each in candidates if sides.get(each.commit) is Side.GOOD and each.commit != bad]
        if fine:
            good = (*good, *fine)
            continue
        # the first is no descendant of another
        ordered = TopologicalSorter({each.commit: each.parents for each in candidates}).static_order()
        known = {each.commit for each in candidates if sides.get(each.commit) is Side.BAD} - {bad}
        oldest = next((commit for commit in ordered if commit in known), None)
        if oldest is None:
            return Range(bad=bad, good=tuple(good), candidates=candidates)
        bad = oldest


def next_commits(
    history: History, found: Range, sides: Mapping[Revision, Side], at_once: int = 1
) -> tuple[Revision, ...]:
    """Choose commits to try at once: the one in the middle, and those that would follow either answer."""
    chosen: dict[Revision, None] = {}
    supposed: list[tuple[Range, Mapping[Revision, Side]]] = [(found, sides)]
    while supposed and len(chosen) < at_once:
        span, known = supposed.pop(0)
        middle = _middle(span, known)
        if middle is None:
            continue
        chosen.setdefault(middle)
        if len(chosen) < at_once:
            for side in (Side.BAD, Side.GOOD):
                then = {**known, middle: side}
                supposed.append((narrowed(history, span.bad, span.good, then), then))
    return tuple(chosen)


def _middle(span: Range, sides: Mapping[Revision, Side]) -> Revision | None:
    """Choose the candidate that halves the rest; away from those that were skipped if that costs little.

    What breaks one commit often breaks those beside it.
    """
    skipped = {each.commit for each in span.candidates if sides.get(each.commit) is Side.SKIPPED}
    beside = {
        commit
        for each in span.candidates
        if each.commit in skipped or not skipped.isdisjoint(each.parents)
        for commit in ((*each.parents,) if each.commit in skipped else (each.commit,))
    }
    left = [each for each in span.candidates if each.commit not in skipped and each.commit != span.bad]
    if not left:
        return None
    best = max(left, key=_halving)
    apart = max((each for each in left if each.commit not in beside), key=_halving, default=best)
    return (apart if 2 * apart.halving >= best.halving else best).commit


def _halving(candidate: Candidate) -> int:
    return candidate.halving


def most_trials(candidates: int) -> int:
    """Return about how many commits must be tried at most, of which some may be skipped."""
    return math.ceil(math.log2(candidates)) if candidates > 1 else 0


def side_of(value: float | None, good: float, bad: float) -> Side:
    """Return which of two values a third is nearer to; a missing one, or one halfway, decides nothing.

    A value that is no finite number is like another one of its kind.
    """
    if value is None:
        return Side.SKIPPED
    if not all(map(math.isfinite, (value, good, bad))):
        return next(_alike(value, good, bad), Side.SKIPPED)
    if abs(value - good) == abs(value - bad):
        return Side.SKIPPED
    return Side.GOOD if abs(value - good) < abs(value - bad) else Side.BAD


def _alike(value: float, good: float, bad: float) -> Iterator[Side]:
    for other, side in ((good, Side.GOOD), (bad, Side.BAD)):
        if math.isfinite(value) == math.isfinite(other) and (
            math.isfinite(value) or math.isnan(value) == math.isnan(other)
        ):
            yield side
