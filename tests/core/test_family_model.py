"""The model test of families that only a run knows, in the pure core: random pipelines, histories and failures.

`tests/engine/test_unknown_families_property.py` lives such lives on a disk. 60 by default, 300 in the slow set;
`-m manual` lives 10,000.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.family_model import World
from tests.support.examples import examples


def _examples(number: int) -> settings:
    return settings(max_examples=number, suppress_health_check=[HealthCheck.too_slow])


seeds, lengths = st.integers(0, 2**32), st.integers(0, 8)


def _live(seed: int, steps: int) -> None:
    world = World(random.Random(seed))
    for _ in range(steps):
        world.step()
    last = world.build(keep_going=True)
    again = world.build(keep_going=True)
    assert (again.executed, again.restored, again.refused) == ([], [], last.refused)
    assert again.states.keys() == last.states.keys()


@examples(240, HealthCheck.too_slow)
@given(seed=seeds, steps=lengths)
def test_families_grow_shrink_fail_and_collide_and_each_build_does_what_it_must(seed: int, steps: int) -> None:
    """After any history all is as computed from scratch but what cannot be expanded, and nothing ran twice."""
    _live(seed, steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@_examples(300)
@given(seed=seeds, steps=lengths)
def test_so_they_do_three_hundred_times(seed: int, steps: int) -> None:
    """The same, more often."""
    _live(seed, steps)


@pytest.mark.slow
@pytest.mark.manual
@pytest.mark.timeout(4 * 3600)
@_examples(10_000)
@given(seed=seeds, steps=lengths)
def test_so_they_do_ten_thousand_times(seed: int, steps: int) -> None:
    """The same, many times."""
    _live(seed, steps)
