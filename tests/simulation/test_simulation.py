"""Many builds with one cache believe nothing wrong, and seldom execute what another one executes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.shared_cache.claims import PATIENCE_S, STALE_S, Claims
from nbmake_dag_cache.remote import Remote
from tests.simulation.clock import Clock
from tests.simulation.fleet import Plan, simulated
from tests.simulation.storage import URL, SimulatedFileSystem, Storage, Weather

_MUCH = 0.05
_PATH = "main/claims/ab/ab12.json"


@dataclass(frozen=True)
class _Machine:
    name: str


def test_a_burst_of_builds_executes_once_and_believes_nothing_wrong(tmp_path: Path):
    """On a storage that fails, is late and tears, with changed objects, and wrong clocks.

    Only what did not arrive whole is executed again.
    """
    plan = Plan(runners=12, merges=3, tasks=8, killed=0.0)
    report, storage = simulated(plan, tmp_path / "with")
    assert report.wrong == 0
    assert report.refused.total() > 0
    assert set(report.twice) <= {"of which something was torn"}, report.lines(storage)


def test_what_shows_late_is_waited_for(tmp_path: Path):
    """A build that waited for another one looks until what it sent must be there."""
    weather = Weather(late=1.0, fails=0.0, hangs=0.0, torn=0.0)
    plan = Plan(runners=6, merges=2, tasks=6, killed=0.0, poisonings=0, weather=weather)
    report, storage = simulated(plan, tmp_path)
    assert report.found > 0
    assert report.twice.total() == 0, report.lines(storage)


def test_of_those_who_wait_for_a_lost_machine_one_executes_at_a_time():
    """They see its end at the same time. It is none of the two others for whose failures a task waits."""
    lost, first, second, third, *rest = _begun(seconds=20.0, first_is_lost=True)
    assert len(rest) == 2
    assert first - lost > STALE_S
    assert second - first > 20.0
    assert third - second > 20.0


def test_of_those_who_have_waited_too_long_one_executes():
    """The build that they wait for lives. They wait for the second one as long, or until the first has ended."""
    seconds = 1.5 * PATIENCE_S
    first, second, third, *rest = _begun(seconds=seconds)
    assert len(rest) == 3
    assert second - first > PATIENCE_S
    assert third - first > seconds


def test_a_claim_that_is_damaged_is_still_one_of_the_same_build():
    """Its build writes it again at its next heartbeat, and others wait for two builds as before."""
    first, second, third, *_ = _begun(seconds=80.0, first_is_damaged=True)
    assert second - first > 80.0
    assert third - second > 80.0


def _begun(*, seconds: float, first_is_lost: bool = False, first_is_damaged: bool = False) -> list[float]:
    """Let six builds execute one task, each for so long, and never cache it; return when they began."""
    clock = Clock()
    weather = Weather(late=0.0, fails=0.0, hangs=0.0, torn=0.0)
    storage = SimulatedFileSystem.storage = Storage(clock, weather, random.Random(1))
    begun: list[float] = []

    def build() -> None:
        claims = Claims(Remote(URL), room=1, waits=lambda _: None)

        def execute() -> None:
            begun.append(clock.now)
            clock.spawn(lambda: claims.release(TaskName("train")), after=seconds)

        claims.claim(TaskName("train"), _PATH, proceed=execute, ask_again=lambda _: execute())
        clock.spawn(claims.end, after=1e5)

    with clock.in_place(lambda _: 0.0, random.Random(2)):
        machines = [_Machine(str(number)) for number in range(6)]
        for number, machine in enumerate(machines):
            clock.spawn(build, owner=machine, after=number / 100 + 5 * (number > 0))
        if first_is_damaged:
            clock.spawn(lambda: setattr(storage.objects["cache/" + _PATH], "data", b"{"), after=10.0)
        if first_is_lost:
            clock.spawn(lambda: clock.kill(machines[0]), after=10.0)
        clock.run()
    return sorted(begun)


def test_the_seed_alone_decides_what_happens():
    """Not how Python hashes texts, nor where objects lie in memory: each request comes at the same time."""
    command = [sys.executable, "-m", "tests.simulation", "--runners=6", "--merges=2", "--tasks=5"]
    figures = {
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(figures) == 1, "\n".join(figures)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_claims_let_builds_wait_for_each_other(tmp_path: Path, seed: int):
    """Without them most of what is executed is executed twice."""
    plan = Plan(seed=seed, runners=30, merges=3)
    report, storage = simulated(plan, tmp_path / "with")
    without, _ = simulated(Plan(seed=seed, runners=30, merges=3, claims=False), tmp_path / "without")
    assert (report.wrong, without.wrong) == (0, 0)
    assert report.share_twice < _MUCH < without.share_twice, report.lines(storage)
