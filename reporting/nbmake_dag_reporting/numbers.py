"""Numbers that JSON has no words for, in all documents alike: under the names of protobuf's JSON.

They are spelled on the way out, by `spelled`, and numbers again on the way in, by ``float``, which knows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

Number: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]
"""A number as a document has it."""


def spelled(value: Any) -> Any:
    """Return a value in which each float that is not finite is ``NaN``, ``Infinity`` or ``-Infinity``."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Mapping():
            return {name: spelled(item) for name, item in value.items()}
        case Sequence() if not isinstance(value, str | bytes):
            return [spelled(item) for item in value]
        case _:
            return value
