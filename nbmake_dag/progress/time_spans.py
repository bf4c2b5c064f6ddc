"""Lengths of time as a person reads them."""

from __future__ import annotations


def precise(seconds: float) -> str:
    """Say how long something took: ``0.04 s``, ``14.2 s``, ``3 min 05 s``."""
    if seconds < 0.1:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 59.95 else coarse(seconds)


def coarse(seconds: float) -> str:
    """Say it in whole seconds: for what changes as one looks, and for estimates."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
