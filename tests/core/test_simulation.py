"""The model test: random pipelines and histories through the real survey, planner, schedule and stores.

Two oracles judge every build: what the outputs are when everything is computed from scratch, and which tasks had
to run. 60 histories by default, 500 in the slow set; `-m manual` lives 10,000.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbmake_dag_cache.memo import IdentityMemo, StatMemo
from tests.core.simulation.build import Order
from tests.core.simulation.checkout import Checkout, Memos
from tests.core.simulation.edits import MODES, Seed, Step
from tests.core.simulation.history import History
from tests.support.examples import examples

SHARED_MEMORY = "/dev/shm"

numbers = st.integers(0, 999)
seeds = st.builds(
    Seed,
    outputs=st.sampled_from(("file", "folder", "both", "none")),
    inputs=st.lists(
        st.tuples(st.sampled_from(("output", "part", "parts", "group", "source", "sources")), numbers), max_size=3
    ).map(tuple),
    after=st.lists(numbers, max_size=2).map(tuple),
    mode=st.sampled_from(MODES),
    ignores=st.sampled_from(((), (), (0,), (1,), (0, 1, 2))),
    reads=st.lists(numbers, max_size=2).map(tuple),
    lists_upstream=st.sampled_from((False, False, False, True)),
    imports=st.sampled_from((False, False, True)),
    cache=st.sampled_from((True,) * 12 + (False,)),
    store=st.sampled_from((True,) * 12 + (False,)),
)
KINDS = (
    "edit_source",
    "replace_source",
    "toggle_file",
    "touch",
    "edit_module",
    "edit_code",
    "edit_mode",
    "set_parameter",
    "drop_input",
    "drop_after",
    "remove_task",
    "rename_task",
    "revert_pipeline",
    "delete_output",
    "tamper_output",
    "add_stray",
    "delete_record",
    "damage_record",
    "delete_blob",
    "damage_blob",
    "lose_output",
    "forget",
    "build",
)
steps = st.builds(Step, kind=st.sampled_from(KINDS), pick=numbers, value=numbers) | st.builds(
    Step, kind=st.just("add_task"), seed=seeds
)


@pytest.fixture(scope="module")
def memos() -> Iterator[Memos]:
    """Indexes of digests that all examples share; each example has files of its own."""
    with tempfile.TemporaryDirectory() as state:
        made = Memos(files=StatMemo(state), identities=IdentityMemo(state))
        yield made
        made.files.close()
        made.identities.close()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Make a folder, in memory where that is possible."""
    folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else None))
    yield folder
    shutil.rmtree(folder)


def _live(memos: Memos, place: Path, made_from: list[Seed], history: list[tuple[Step, ...]]) -> None:
    root = tempfile.mkdtemp(dir=place)
    try:
        project = History(Checkout(root, memos), made_from)
        for moment in history:
            for step in moment:
                project.apply(step)
        project.build(Order())
        again = project.build(Order())
        assert {name for name, status in again.statuses.items() if status != "up_to_date"} == project.uncached()
    finally:
        shutil.rmtree(root)


pipelines = st.lists(seeds, min_size=1, max_size=40)
builds = st.builds(Step, kind=st.just("build"), value=numbers)
histories = st.lists(st.tuples(steps, steps, builds), max_size=6)


CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)


def _examples(number: int) -> settings:
    return settings(max_examples=number, suppress_health_check=CHECKS)


@pytest.mark.timeout(1800)
@examples(240, *CHECKS)
@given(made_from=pipelines, history=histories)
def test_a_build_runs_what_it_must_and_leaves_what_a_clean_one_would(
    memos: Memos, place: Path, made_from: list[Seed], history: list[tuple[Step, ...]]
) -> None:
    """After any history outputs equal a from-scratch evaluation, and exactly those tasks ran that had to."""
    _live(memos, place, made_from, history)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@_examples(500)
@given(made_from=pipelines, history=histories)
def test_so_it_is_five_hundred_times(
    memos: Memos, place: Path, made_from: list[Seed], history: list[tuple[Step, ...]]
) -> None:
    """The same, more often."""
    _live(memos, place, made_from, history)


@pytest.mark.slow
@pytest.mark.manual
@pytest.mark.timeout(4 * 3600)
@_examples(10_000)
@given(made_from=pipelines, history=histories)
def test_so_it_is_ten_thousand_times(
    memos: Memos, place: Path, made_from: list[Seed], history: list[tuple[Step, ...]]
) -> None:
    """The same, many times."""
    _live(memos, place, made_from, history)
