"""The block at the bottom of a terminal while a build runs: its progress, and the running tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from nbmake_dag.core.model import TaskName
from nbmake_dag.present.palette import Palette
from nbmake_dag.present.text import fit, pad, plain, squeeze, width
from nbmake_dag.present.units import coarse

_MAX_ROWS = 8
"""Running tasks that are shown."""
_MIN_CODE = 8
"""Columns below which a cell's first line is too short to be useful."""


class Running(msgspec.Struct, kw_only=True):
    """A running attempt; ``since`` by the display's clock. ``cell`` is ``3/12``, ``code`` its first line."""

    task: TaskName
    since: float
    cell: str = ""
    code: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the block shows. ``eta`` in seconds."""

    ended: int
    total: int
    waiting: int
    pools: Mapping[str, int]
    """How many of those wait for which pool."""
    failed: int
    eta: float | None
    running: Sequence[Running]


def block(progress: Progress, *, now: float, columns: int, rows: int, palette: Palette) -> list[str]:
    """Return lines that fit: none wider than the terminal, and together lower than it."""
    shown = progress.running[: max(0, min(_MAX_ROWS, rows - 4))]
    hidden = len(progress.running) - len(shown)
    more = [fit(f"  and {hidden} more", columns)] if hidden and rows > 4 else []
    return [palette.strong(fit(_head(progress), columns)), *_rows(shown, now, columns, palette), *more]


def _head(progress: Progress) -> str:
    parts = [f"{progress.ended}/{progress.total} tasks", f"{len(progress.running)} running"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.waiting:
        pools = "".join(f", {count} for {plain(pool)}" for pool, count in progress.pools.items())
        parts.append(f"{progress.waiting} waiting{pools}")
    if progress.eta is not None and progress.eta >= 0.5:
        parts.append(f"eta {coarse(progress.eta)}")
    return "  ".join(parts)


def _rows(running: Sequence[Running], now: float, columns: int, palette: Palette) -> list[str]:
    """Lay tasks out as a table: name, age, cell, and as much code as there is room for."""
    names = [squeeze(plain(each.task), max(8, columns * 2 // 5)) for each in running]
    ages = [coarse(now - each.since) for each in running]
    left, middle, right = (
        max((width(text) for text in texts), default=0) for texts in (names, ages, [each.cell for each in running])
    )
    lines: list[str] = []
    for each, name, age in zip(running, names, ages, strict=True):
        line = f"  {pad(name, left)}  {age:>{middle}}  {each.cell:>{right}}".rstrip()
        room = columns - width(line) - 2
        code = fit(plain(each.code), room) if room >= _MIN_CODE else ""
        lines.append(f"{line}  {palette.faint(code)}" if code else fit(line, columns))
    return lines
