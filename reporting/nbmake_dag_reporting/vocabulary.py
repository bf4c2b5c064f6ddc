"""The closed vocabularies of a record: what a task is, how tasks, attempts and runs ended, which way is better."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, get_args

TaskType: TypeAlias = Literal["notebook", "function", "command"]
"""What a task executes."""

TaskStatus: TypeAlias = Literal[
    "ran",  # executed, and succeeded
    "restored",  # its outputs were put back from the cache
    "up_to_date",  # nothing to do
    "failed",  # executed, and its last attempt failed
    "skipped",  # not executed, because a task above it failed
    "cancelled",  # ended by an interruption, or not begun for another reason
]
"""How a task ended."""

AttemptOutcome: TypeAlias = Literal[
    "succeeded",
    "failed",  # the work raised, or ended with another status than 0
    "timeout",  # it took longer than it may
    "lost",  # the infrastructure failed, not the work
    "cancelled",  # it was interrupted
]
"""How an attempt ended."""

RecordedOutcome: TypeAlias = AttemptOutcome | Literal["interrupted"]
"""How an attempt ended; ``interrupted`` where the run was cut off within it."""

RunResult: TypeAlias = Literal[
    "success",  # no task failed
    "failure",  # a task failed
    "error",  # the machine or an executor failed, not a task
    "cancellation",  # a signal ended it
]
"""How a run ended."""

RecordedResult: TypeAlias = RunResult | Literal["interrupted", "running"]
"""How a run ended; ``interrupted`` where it has no end, ``running`` where its reader knows that it goes on."""

Direction: TypeAlias = Literal["higher", "lower"]
"""Which values of a metric are better."""

ALERT: Final = r"^(?:worse|(?:<=?|>=?) ?-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)$"
"""What raises an alert of a metric."""
AN_ALERT: Final = "`worse`, or a limit such as `< 0.9`"
VIEW: Final = r"^#/[a-z]\S*$"
"""The address of a page of the site."""
A_VIEW: Final = "a table of addresses from `#` on"

STATUSES: Final[tuple[TaskStatus, ...]] = get_args(TaskStatus)
HITS: Final[frozenset[TaskStatus]] = frozenset({"restored", "up_to_date"})
"""Of tasks whose result was in the cache."""


def count(statuses: Iterable[TaskStatus]) -> dict[str, int]:
    """Count statuses, including those with a count of zero."""
    counts: dict[str, int] = dict.fromkeys(("total", *STATUSES), 0)
    for status in statuses:
        counts["total"] += 1
        counts[status] += 1
    return counts
