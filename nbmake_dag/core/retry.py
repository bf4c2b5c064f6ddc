"""Decide whether a task is retried after a failed attempt, and after which delay."""

from __future__ import annotations

from collections.abc import Sequence

from nbmake_dag.core.model import Policy
from nbmake_dag_reporting.vocabulary import AttemptOutcome

INFRASTRUCTURE_RETRIES = 2
"""Attempts after those that were lost with their executor; they do not count as the task's own."""


def delay_before_retry(outcomes: Sequence[AttemptOutcome], policy: Policy) -> float | None:
    """Return the seconds until the next attempt, ``None`` if there is no further attempt.

    ``outcomes`` are those of all attempts so far, the last one being ``lost``, ``failed`` or ``timeout``.
    """
    if outcomes[-1] == "lost":
        return 0.0 if outcomes.count("lost") <= INFRASTRUCTURE_RETRIES else None
    own = sum(outcome in {"failed", "timeout"} for outcome in outcomes)
    return policy.retry_delay if own <= policy.retries else None
