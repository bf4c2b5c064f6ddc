"""The campaign counts what was run, goes on where it ended, and samples of its rows find nothing."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.faults.campaign import Campaign, NotInjectedError, Row, Trials, table
from tests.faults.rows import ROWS

pytestmark = pytest.mark.fault

SAMPLES = ("kill-at-calls-warm", "mutated-toml")
"""Rows that the default tests try; the others are slow."""
_ON_RAY = ("ray", "raylet", "gcs_server", "ray-worker", "ray-host")


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    """Return what a row needs to be tried, and whether it is slow."""
    marks = [] if name in SAMPLES else [pytest.mark.slow]
    marks += [pytest.mark.strace] if "-calls" in name else []
    marks += [pytest.mark.ray] if name.startswith("kill-") and name.endswith(_ON_RAY) else []
    return [*marks, pytest.mark.netns] if name == "full-disk" else marks


def three(tried: list[tuple[int, float]]) -> Row:
    """Make a row whose trial 1 fails, and whose trial 2 does not come to its fault."""

    def run(number: int, chance: Random, folder: Path) -> None:
        assert not list(folder.iterdir())
        tried.append((number, chance.random()))
        assert number != 1, "one is wrong"
        if number == 2:
            raise NotInjectedError("too late")

    return Row(name="three", what="three trials", prepare=lambda folder: Trials(count=3, run=run, each=10))


def test_a_campaign_goes_on_where_it_ended_and_counts_what_was_tried(tmp_path: Path):
    """Each trial has the numbers of its seed, whenever it is run; what was not injected is tried again."""
    tried: list[tuple[int, float]] = []
    said: list[str] = []
    row, state = three(tried), tmp_path / "state.json"
    for most in (1, None, None):
        Campaign(state, seed=7).run(row, most=most, say=said.append)
    numbers = [number for number, _ in tried]
    assert (numbers.count(0), numbers.count(1)) == (1, 1)
    assert numbers.count(2) >= 2
    assert len({*tried}) == 3
    found = Campaign(state, seed=8).state
    assert (found.seed, sorted(found.rows["three"].numbers), [*found.rows["three"].failed]) == (7, [0, 1], [1])
    assert "AssertionError: one is wrong" in "".join(said)
    assert "| `three` three trials | 20 | 30 | 1 | 1 |" in table([row], found)


def test_what_cannot_be_tried_here_is_named(tmp_path: Path):
    """A row without its tool is no row without failures."""
    row = Row(
        name="none", what="nothing", prepare=lambda folder: Trials(count=0, run=fail), missing=lambda: "no tool"
    )
    assert "| `none` nothing | 0 | | | not tried: no tool |" in table([row], Campaign(tmp_path / "s", 1).state)


def fail(number: int, chance: Random, folder: Path) -> None:
    raise AssertionError(number, chance, folder)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [pytest.param(row.name, marks=marks_of(row.name)) for row in ROWS])
def test_one_fault_of_a_row_breaks_no_promise(tmp_path: Path, name: str):
    """At random, each time another one; the whole row is `python -m tests.faults NAME`."""
    (row,) = (row for row in ROWS if row.name == name)
    assert row.missing() == ""
    seed = Random().randrange(1 << 32)
    tried = Campaign(tmp_path / "state.json", seed).run(row, most=1)
    assert tried.failed == {}, f"seed {seed}"
