"""Whether two sets of measurements differ by more than they vary, and which of the two a third resembles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import msgspec

from nbmake_dag.core.delta import Outcome

_SHARE = 0.1
"""Of a difference, the part that may be left when it counts as carried."""
_CRITICAL = (636.62, 31.60, 12.92, 8.61, 6.87, 5.96, 5.41, 5.04, 4.78, 4.59, 4.44, 4.32, 4.22, 4.14, 4.07)
"""Student's t for one in a thousand, on both sides, from one degree of freedom on."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The measurements of two sides, at least one of each; ``tolerance`` is the difference that nobody minds."""

    before: tuple[float, ...]
    after: tuple[float, ...]
    tolerance: float = 0.0

    @property
    def difference(self) -> float:
        return fmean(self.after) - fmean(self.before)

    @property
    def noise(self) -> float:
        """The standard deviation of one measurement, of both sides together; 0 if no side has two."""
        freedom = len(self.before) + len(self.after) - 2
        squares = (_squares(self.before) + _squares(self.after)) / max(freedom, 1)
        return math.sqrt(squares)

    @property
    def is_beyond_noise(self) -> bool:
        """Whether chance gives such a difference less often than once in a thousand times."""
        freedom = len(self.before) + len(self.after) - 2
        critical = _CRITICAL[min(max(freedom, 1), len(_CRITICAL)) - 1]
        return self._is_finite and abs(self.difference) > max(
            self.tolerance, critical * self._error(len(self.before))
        )

    @property
    def _is_finite(self) -> bool:
        return all(map(math.isfinite, (*self.before, *self.after)))

    def _error(self, measured: int) -> float:
        """Return the standard deviation of the difference between some measurements and one of the sides."""
        return self.noise * math.sqrt(1 / measured + 1 / min(len(self.before), len(self.after)))

    def outcome(self, values: Sequence[float]) -> Outcome:
        """Return whether measurements of a third kind are those of ``after``.

        They are if no more than a tenth of the difference is left, or what the noise and the tolerance allow.
        One that is not finite is unresolved.
        """
        if not values or not all(map(math.isfinite, values)):
            return Outcome.UNRESOLVED
        margin = max(_SHARE * abs(self.difference), self.tolerance, 3 * self._error(len(values)))
        margin = min(margin, abs(self.difference) / 2)
        left = abs(fmean(self.after) - fmean(values))
        return Outcome.CARRIES if left <= margin else Outcome.LACKS

    def explained(self, values: Sequence[float]) -> float:
        """Return by how much measurements differ from ``before``."""
        return fmean(values) - fmean(self.before)


def _squares(values: Sequence[float]) -> float:
    middle = fmean(values)
    return math.fsum((value - middle) ** 2 for value in values)
