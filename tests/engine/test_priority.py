"""Whether another executor is worth its start."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.dispatch.priority import HANDED_OVER_S, is_worth_its_start
from nbmake_dag.engine.state.previous_results import ExecutorCosts

COSTS = ExecutorCosts(start_s=4.5, handed_over_s=HANDED_OVER_S)
MANY = [TaskName(str(number)) for number in range(1000)]


@pytest.mark.parametrize(
    ("seconds", "count", "expected"),
    [
        (0.01, 1000, False),
        (0.1, 1000, True),
        (4.0, 1, False),
        (4.0, 2, True),
    ],
)
def test_an_executor_is_started_where_the_time_that_it_saves_is_longer(
    seconds: float,
    count: int,
    expected: bool,  # noqa: FBT001
) -> None:
    """Short tasks are not handed over, however many they are: that takes longer than they do."""
    assert is_worth_its_start(COSTS, 2, MANY[:count], {}, [seconds], 0.0) is expected


def test_what_handing_over_was_measured_to_take_decides_whether_tasks_are_short() -> None:
    """On a machine where it is dear, tasks are short that are not elsewhere, or with more processors."""
    dear = replace(COSTS, handed_over_s=0.12)
    durations: dict[str, float] = dict.fromkeys(MANY, 0.1)
    assert is_worth_its_start(COSTS, 2, MANY, durations, (), 0.0)
    assert not is_worth_its_start(dear, 2, MANY, durations, (), 0.0)
    assert is_worth_its_start(dear, 8, MANY, durations, (), 0.0)


def test_one_processor_is_not_shared() -> None:
    """Another executor would take from the first one what it uses."""
    assert not is_worth_its_start(COSTS, 1, MANY, {}, [10.0], 0.0)
