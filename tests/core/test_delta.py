"""Delta debugging over changes whose effects are known."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import pytest

from nbmake_dag.core.delta import Outcome, smallest
from nbmake_dag.core.effect import Effect


@dataclass(slots=True)
class _Made:
    """Changes of which some are guilty: of a share of the difference each, or only together."""

    changes: int
    guilty: frozenset[int]
    alone: bool
    needs: tuple[int, int] | None = None
    """One that does not run without another."""
    noise: float = 0.0
    chance: random.Random = field(default_factory=random.Random)
    trials: int = 0

    def measure(self, some: frozenset[int]) -> tuple[float, ...]:
        self.trials += 1
        if self.needs and self.needs[0] in some and self.needs[1] not in some:
            return ()
        there = len(self.guilty & some)
        share = there / len(self.guilty) if self.alone else float(there == len(self.guilty))
        return (0.957 - 0.045 * share + self.chance.gauss(0, self.noise),)

    @property
    def named(self) -> tuple[int, ...]:
        """What must be found: what a guilty one needs is part of it."""
        needed = {self.needs[1]} if self.needs and self.needs[0] in self.guilty else set[int]()
        return tuple(sorted(self.guilty | needed))


def _made(seed: int) -> _Made:
    chance = random.Random(seed)
    changes = chance.randint(3, 12)
    guilty = frozenset(chance.sample(range(changes), chance.randint(1, 3)))
    first, second = chance.sample(range(changes), 2)
    needs = (first, second) if chance.random() < 0.3 else None
    return _Made(changes, guilty, alone=chance.random() < 0.5, needs=needs, noise=0.0003, chance=chance)


def _blame(made: _Made, *, times: int = 2) -> tuple[int, ...] | None:
    """Do what `nbdag blame` does: both sides, the search, and the rest without what was found."""
    every = frozenset(range(made.changes))
    before = [value for _ in range(times) for value in made.measure(frozenset())]
    after = [value for _ in range(times) for value in made.measure(every)]
    # the runs themselves
    before += made.measure(frozenset())
    after += made.measure(every)
    made.trials -= 2
    effect = Effect(before=tuple(before), after=tuple(after))
    if not effect.is_beyond_noise:
        return None
    found = smallest(range(made.changes), lambda some: effect.outcome(made.measure(some)))
    made.measure(every.difference(found))
    return found


def test_48_of_50_pairs_of_runs_are_explained_with_few_trials() -> None:
    """One to three guilty among 3 to 12 changes, interactions and mixes that do not run included."""
    made = [_made(seed) for seed in range(50)]
    right = sum(_blame(each) == each.named for each in made)
    allowed = sum(2 * math.log2(each.changes) * len(each.guilty) + 4 for each in made)
    # the sides were measured twice
    assert sum(each.trials - 2 for each in made) <= allowed
    assert right >= 48


@pytest.mark.parametrize("times", [1, 2, 5])
def test_nothing_is_named_where_only_noise_differs(times: int) -> None:
    """Whatever the runs happened to measure, chance alone gives no culprit."""
    made = [_Made(6, frozenset({99}), alone=False, noise=0.01, chance=random.Random(seed)) for seed in range(20)]
    assert [_blame(each, times=times) for each in made] == [None] * 20


def test_a_set_is_never_tried_twice() -> None:
    """Each trial executes something."""
    seen = list[frozenset[int]]()

    def test(some: frozenset[int]) -> Outcome:
        seen.append(some)
        return Outcome.CARRIES if {2, 5, 6} <= some else Outcome.LACKS

    assert smallest(range(9), test) == (2, 5, 6)
    assert len(seen) == len(set(seen))


def test_a_change_that_another_one_undoes_is_found_with_it() -> None:
    """What carries the difference is not always carried by more."""

    def test(some: frozenset[int]) -> Outcome:
        return Outcome.CARRIES if 1 in some and (3 not in some or 4 in some) else Outcome.LACKS

    found = smallest(range(6), test)
    assert test(frozenset(found)) is Outcome.CARRIES
    assert all(test(frozenset(found) - {change}) is not Outcome.CARRIES for change in found)


def test_what_is_left_of_a_difference_may_be_a_tenth() -> None:
    """Two that each explain half are both named; one that explains nearly all is enough."""
    effect = Effect(before=(1.0, 1.0), after=(0.0, 0.0))
    assert effect.outcome([0.09]) is Outcome.CARRIES
    assert effect.outcome([0.5]) is Outcome.LACKS
    assert effect.outcome([math.nan]) is Outcome.UNRESOLVED
    assert effect.outcome([]) is Outcome.UNRESOLVED


def test_a_difference_must_be_beyond_noise_and_tolerance() -> None:
    """Sides that are the same each time differ certainly; the tolerance still counts."""
    assert Effect(before=(1.0, 1.0), after=(0.9, 0.9)).is_beyond_noise
    assert not Effect(before=(1.0, 1.0), after=(0.9, 0.9), tolerance=0.2).is_beyond_noise
    assert not Effect(before=(1.0, 0.9), after=(0.9, 0.8)).is_beyond_noise
    assert not Effect(before=(1.0, 1.0), after=(1.0, 1.0)).is_beyond_noise
    assert not Effect(before=(1.0, 1.0), after=(math.nan, math.nan)).is_beyond_noise
