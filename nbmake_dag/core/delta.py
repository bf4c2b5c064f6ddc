"""Delta debugging: find a smallest set of changes that carries a difference, with few trials.

Two ideas, one after the other. A search by halves (Junker, QuickXplain, 2004; the first algorithm of Zeller, 1999,
does the same) keeps what it has found while it looks for the rest, so that changes which work only together are
found. It needs about 2 log2(n) trials for each change that it finds. `ddmin` (Zeller and Hildebrandt, 2002) then
makes sure that nothing can be left out: it copes with trials that do not run, by splitting finer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import pairwise
from typing import Generic, TypeAlias, TypeVar

C = TypeVar("C")


class Outcome(Enum):
    """What a trial with some of the changes says."""

    CARRIES = "carries"
    """It shows the difference."""
    LACKS = "lacks"
    UNRESOLVED = "unresolved"
    """It does not run, or shows a third thing."""


Test: TypeAlias = Callable[[frozenset[C]], Outcome]


def smallest(changes: Sequence[C], test: Test[C]) -> tuple[C, ...]:
    """Return a set of changes that carries the difference, and from which none can be left out, in their order.

    All changes together must carry it, and none of them must not. Changes that depend on each other are found
    faster if they stand together. No set is tried twice.
    """
    search = _Search(changes, test)
    return search.refined(search.by_halves((), tuple(changes), is_known=True))


class _Search(Generic[C]):
    """The trials so far."""

    def __init__(self, changes: Sequence[C], test: Test[C]) -> None:
        self._test = test
        self._known = {frozenset[C](): Outcome.LACKS, frozenset(changes): Outcome.CARRIES}
        self._place = {change: place for place, change in enumerate(changes)}
        self._is_clear = True

    def _carries(self, some: Sequence[C]) -> bool:
        which = frozenset(some)
        if which not in self._known:
            self._known[which] = self._test(which)
        outcome = self._known[which]
        self._is_clear &= outcome is not Outcome.UNRESOLVED
        return outcome is Outcome.CARRIES

    def by_halves(self, base: tuple[C, ...], rest: tuple[C, ...], *, is_known: bool) -> tuple[C, ...]:
        """Return those of ``rest`` that carry the difference with ``base``; all of them do.

        ``is_known`` is set where ``base`` alone is known not to. What the result says of itself is true whatever
        the trials say; it is small if larger sets carry what smaller ones do.
        """
        if not is_known and self._carries(base):
            return ()
        if len(rest) == 1:
            return rest
        first, second = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        found = self.by_halves(base + first, second, is_known=False)
        return self.by_halves(base + found, first, is_known=not found) + found

    def refined(self, changes: tuple[C, ...]) -> tuple[C, ...]:
        """Leave out what can be left out (ddmin); in the finest parts at once where all trials were clear."""
        parts = len(changes) if self._is_clear else 2
        while len(changes) > 1:
            if (part := self._first_of(_split(changes, parts))) is not None:
                changes, parts = part, 2
            elif (rest := self._first_of(_without_each(changes, parts))) is not None:
                changes, parts = rest, max(parts - 1, 2)
            elif parts < len(changes):
                parts = min(2 * parts, len(changes))
            else:
                break
        return tuple(sorted(changes, key=self._place.__getitem__))

    def _first_of(self, sets: Iterator[tuple[C, ...]]) -> tuple[C, ...] | None:
        return next((some for some in sets if self._carries(some)), None)


def _split(changes: tuple[C, ...], parts: int) -> Iterator[tuple[C, ...]]:
    """Split into parts of about the same size, none of them empty."""
    parts = min(parts, len(changes))
    edges = [len(changes) * part // parts for part in range(parts + 1)]
    return (changes[start:end] for start, end in pairwise(edges))


def _without_each(changes: tuple[C, ...], parts: int) -> Iterator[tuple[C, ...]]:
    for part in _split(changes, parts):
        yield tuple(change for change in changes if change not in part)
