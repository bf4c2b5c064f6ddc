"""A burst of changes: when it counts as over."""

from __future__ import annotations

from dataclasses import dataclass, replace

QUIET_S = 0.05
"""Without a change for so long, a burst is over: editors write a file in several steps, git many files."""
CAP_S = 1.5
"""A burst that goes on is acted upon after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """Moments in seconds, by any one clock."""

    first: float
    last: float

    @property
    def due(self) -> float:
        """When it is over, unless another change comes before."""
        return min(self.last + QUIET_S, self.first + CAP_S)

    def and_at(self, now: float) -> Burst:
        return replace(self, last=now)
