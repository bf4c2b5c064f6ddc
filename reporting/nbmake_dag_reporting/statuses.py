"""What can become of a task in a run, and how often it did."""

from __future__ import annotations

from collections.abc import Iterable

STATUSES = ("ran", "restored", "up_to_date", "failed", "skipped", "cancelled")


def count(statuses: Iterable[str]) -> dict[str, int]:
    """Count statuses, naming also those that nothing has."""
    counts = {"total": 0, **dict.fromkeys(STATUSES, 0)}
    for status in statuses:
        counts["total"] += 1
        counts[status] += 1
    return counts
