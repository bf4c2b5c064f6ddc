"""Durations such as ``1h30m`` and sizes such as ``10GB``, as they are written in ``pipeline.toml``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

MAX_SECONDS = 100 * 365 * 86_400
MAX_BYTES = 2**63 - 1

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
DURATION_PATTERN = rf"^(?=.)(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?$"
_SIZE_UNIT = "B|[kKMGTP]B|[KMGTP]iB"
SIZE_PATTERN = rf"^{_NUMBER} ?(?:{_SIZE_UNIT})$"

A_DURATION = "a duration, such as `10s`, `5m`, `1h30m` or `1d`"
A_SIZE = "a size, such as `500MB`, `10GB` or `1GiB`"

_DURATION = re.compile(DURATION_PATTERN)
_SIZE = re.compile(rf"(?P<number>{_NUMBER}) ?(?P<unit>{_SIZE_UNIT})")
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|[dhms])")
_SPOKEN_DURATION = re.compile(rf"({_NUMBER})\s*(ms(?![a-z])|[dhs]|m(?!o|s|i?l))[a-z]*[\s,]*", re.IGNORECASE)
_SPOKEN_SIZE = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>[kmgtp])(?P<binary>i?)(?:b|bytes?)?", re.IGNORECASE)
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTP", start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", start=1)},
    "KB": 1000,
}


def seconds(value: object) -> float:
    """Read a duration: a string with units, or a number of seconds.

    The text of the ``ValueError`` goes on from "the key …".
    """
    match value:
        case str() if _DURATION.fullmatch(value):
            result = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
        case str() if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
            raise ValueError(f"needs a unit, such as `{value}s`")
        case int() | float() if not isinstance(value, bool):
            result = float(value) if abs(value) <= MAX_SECONDS else math.inf
        case _:
            raise ValueError(_refusal(A_DURATION, value, _duration_meant))
    if not 0 <= result <= MAX_SECONDS:
        raise ValueError("must be a duration from 0 to 100 years")
    return result


def size(value: object) -> int:
    """Read a size: a string with a unit, or a number of bytes; errors as in `seconds`."""
    match value:
        case str() if match := _SIZE.fullmatch(value):
            result = int(float(match["number"]) * _BYTES[match["unit"]])
        case str() if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
            raise ValueError(f"needs a unit, such as `{value}GB`")
        case int() if not isinstance(value, bool):
            result = value
        case _:
            raise ValueError(_refusal(A_SIZE, value, _size_meant))
    if not 0 <= result <= MAX_BYTES:
        raise ValueError("must be a size from 0 to 8 EiB")
    return result


def _refusal(expected: str, value: object, meant: Callable[[str], str]) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) < 40:
        return f"must be {expected}"
    return f"must be {f'written `{said}`' if (said := meant(value)) else expected}, not `{value}`"


def _duration_meant(text: str) -> str:
    """Return how a duration is written, if a text is one in other words: ``5 min``, ``30m1h``."""
    found = _SPOKEN_DURATION.findall(text)
    parts = {unit.lower(): number for number, unit in found}
    meant = "".join(f"{parts[unit]}{unit}" for unit in _SECONDS if unit in parts)
    is_whole = not _SPOKEN_DURATION.sub("", text) and len(parts) == len(found)
    return meant if is_whole and _DURATION.fullmatch(meant) else ""


def _size_meant(text: str) -> str:
    """Return how a size is written, if a text is one in other words: ``4G``, ``4 gb``."""
    found = _SPOKEN_SIZE.fullmatch(text)
    meant = f"{found['number']}{found['unit'].upper()}{'iB' if found['binary'] else 'B'}" if found else ""
    return meant if _SIZE.fullmatch(meant) else ""
