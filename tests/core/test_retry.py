"""Whether a task is tried again."""

from __future__ import annotations

import pytest

from nbmake_dag.core.model import Policy
from nbmake_dag.core.retry import delay_before_retry

TWICE = Policy(retries=2, retry_delay=5.0)


@pytest.mark.parametrize(
    ("outcomes", "policy", "delay"),
    [
        (["failed"], Policy(), None),
        (["failed"], TWICE, 5.0),
        (["failed", "timeout"], TWICE, 5.0),
        (["failed", "timeout", "failed"], TWICE, None),
    ],
)
def test_failures_and_timeouts_spend_the_retries_of_a_task(outcomes, policy, delay):
    """Each of them after the delay that the task declares."""
    assert delay_before_retry(outcomes, policy) == delay


@pytest.mark.parametrize(("outcomes", "delay"), [(["lost"], 0.0), (["lost"] * 2, 0.0), (["lost"] * 3, None)])
def test_a_lost_attempt_is_repeated_at_once_and_at_most_twice(outcomes, delay):
    """A task without retries of its own is tried again as well."""
    assert delay_before_retry(outcomes, Policy()) == delay


def test_lost_attempts_and_failures_are_counted_apart():
    """What the machine did is not the task's fault, nor the other way round."""
    assert delay_before_retry(["lost", "lost", "failed"], TWICE) == 5.0
    assert delay_before_retry(["failed", "failed", "lost"], TWICE) == 0.0
    assert delay_before_retry(["failed", "lost", "failed", "lost", "failed"], TWICE) is None
