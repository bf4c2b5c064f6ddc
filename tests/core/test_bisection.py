"""Bisection of histories that git made: branches, merges, and commits that cannot be tried."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nbmake_dag.core.bisection import Range, Revision, Side, most_trials, narrowed, next_commits, side_of
from nbmake_dag.observe.history import GitHistory
from tests.support.histories import MadeHistory, make_history

_SOME = range(5)
_ALL = range(50)


def _search(
    made: MadeHistory, known: dict[Revision, Side] | None = None, *, at_once: int = 1
) -> tuple[tuple[Revision, ...] | None, list[int]]:
    """Search for the first bad commit; return it, and how many commits were tried at a time."""
    history, sides, tried = GitHistory(repository=made.repository), dict(known or {}), list[int]()
    left: Range | None = None
    while True:
        bad, good = (left.bad, left.good) if left else (made.commits[-1], made.commits[:1])
        left = narrowed(history, bad, good, sides)
        chosen = next_commits(history, left, sides, at_once)
        if not chosen:
            return left.first_bad(sides), tried
        tried.append(len(chosen))
        sides |= {commit: made.sides[commit] for commit in chosen}


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed in _SOME else [pytest.mark.slow]) for seed in _ALL]
)
def test_the_commit_is_found_with_two_trials_more_than_halving_needs(tmp_path: Path, seed: int) -> None:
    """Merges and broken commits included, of 64 commits at most 8 are tried."""
    made = make_history(str(tmp_path / "made"), seed)
    found, tried = _search(made)
    assert found == (made.culprit,)
    assert sum(tried) <= math.log2(len(made.commits)) + 2


def test_nothing_is_tried_where_all_is_known(tmp_path: Path) -> None:
    """What runs say is enough."""
    made = make_history(str(tmp_path / "made"), 7)
    assert _search(made, dict(made.sides)) == ((made.culprit,), [])


def test_what_is_known_shortens_the_search(tmp_path: Path) -> None:
    """Runs of the culprit and of its parents leave nothing to try, if those are all that matter."""
    made = make_history(str(tmp_path / "made"), 7)
    history = GitHistory(repository=made.repository)
    whole = history.candidates(made.commits[-1], made.commits[:1])
    parents = next(each.parents for each in whole if each.commit == made.culprit)
    known = {commit: made.sides[commit] for commit in (made.culprit, *parents)}
    assert _search(made, known) == ((made.culprit,), [])


def test_several_at_once_take_fewer_rounds(tmp_path: Path) -> None:
    """Three commits, the one in the middle and those that follow either answer, are two halvings."""
    made = make_history(str(tmp_path / "made"), 3, broken=0)
    found, tried = _search(made, at_once=3)
    assert found == (made.culprit,)
    assert len(tried) <= math.ceil(most_trials(len(made.commits)) / 2) + 1


def test_where_neighbours_cannot_be_tried_all_that_remain_are_named(tmp_path: Path) -> None:
    """Nothing is claimed that no trial says."""
    made = make_history(str(tmp_path / "made"), 11, broken=0)
    whole = GitHistory(repository=made.repository).candidates(made.commits[-1], made.commits[:1])
    parents = next(each.parents for each in whole if each.commit == made.culprit)
    broken = MadeHistory(
        repository=made.repository,
        commits=made.commits,
        culprit=made.culprit,
        sides={**made.sides, **dict.fromkeys(parents, Side.SKIPPED)},
    )
    found, _ = _search(broken)
    assert found is not None
    assert found[0] == made.culprit
    assert set(parents) - set(made.commits[:1]) <= set(found)


def test_a_value_belongs_to_the_side_that_it_is_nearer_to() -> None:
    """Halfway it says nothing, and neither does a missing one."""
    assert side_of(0.95, 0.957, 0.912) is Side.GOOD
    assert side_of(0.913, 0.957, 0.912) is Side.BAD
    assert side_of(1.0, 0.0, 2.0) is Side.SKIPPED
    assert side_of(None, 0.0, 2.0) is Side.SKIPPED


def test_what_is_no_number_is_like_what_is_none() -> None:
    """A metric that became NaN can be searched for."""
    assert side_of(math.nan, 0.9, math.nan) is Side.BAD
    assert side_of(0.5, 0.9, math.nan) is Side.GOOD
    assert side_of(math.inf, 0.9, math.nan) is Side.SKIPPED
