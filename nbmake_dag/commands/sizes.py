"""Sizes in bytes as people read them, in the units of ``pipeline.toml``."""

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
