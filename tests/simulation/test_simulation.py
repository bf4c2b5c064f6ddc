"""Many builds with one cache believe nothing wrong, and seldom execute what another one executes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.fleet import Plan, simulated

_MOST_TWICE = 0.05
"""Of a few executions; `python -m tests.simulation` has more."""


def test_a_burst_of_builds_executes_once_and_believes_nothing_wrong(tmp_path: Path):
    """On a storage that fails, is late and tears, with changed objects, wrong clocks, and machines that die."""
    plan = Plan(runners=12, merges=3, tasks=8)
    report, storage = simulated(plan, tmp_path / "with")
    assert report.wrong == 0
    assert report.refused.total() > 0
    assert report.share_twice < _MOST_TWICE, report.lines(storage)
    assert simulated(plan, tmp_path / "again")[0] == report


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_claims_let_builds_wait_for_each_other(tmp_path: Path, seed: int):
    """Without them most of what is executed is executed twice."""
    plan = Plan(seed=seed, runners=30, merges=3)
    report, storage = simulated(plan, tmp_path / "with")
    without, _ = simulated(Plan(seed=seed, runners=30, merges=3, claims=False), tmp_path / "without")
    assert (report.wrong, without.wrong) == (0, 0)
    assert report.share_twice < _MOST_TWICE < without.share_twice, report.lines(storage)
