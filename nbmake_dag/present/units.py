"""Sizes and durations as people read them."""

from __future__ import annotations


def in_words(size: int) -> str:
    """Write three digits and a unit: ``0 B``, ``1.23 MB``, ``45.6 GB``."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:.3g} PB"


def precise(seconds: float) -> str:
    """Format a duration: ``0.04 s``, ``14.2 s``, ``3 min 05 s``."""
    if seconds < 0.1:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 59.95 else coarse(seconds)


def coarse(seconds: float) -> str:
    """Format a duration in whole seconds: for values that change on screen, and for estimates."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
