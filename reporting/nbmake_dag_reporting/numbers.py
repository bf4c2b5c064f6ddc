"""Numbers that JSON has no words for, under the names that protobuf's JSON gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def spelled(value: float) -> float | str:
    """Return a finite number itself, else ``NaN``, ``Infinity`` or ``-Infinity``."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def spelled_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Spell those values that are floats."""
    return {name: spelled(value) if isinstance(value, float) else value for name, value in values.items()}
