"""Whether another executor is worth its start."""

from __future__ import annotations

import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.dispatch.priority import is_worth_its_start

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
    assert is_worth_its_start(4.5, MANY[:count], {}, [seconds], 0.0) is expected
