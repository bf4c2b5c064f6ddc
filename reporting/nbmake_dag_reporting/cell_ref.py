"""One cell of a notebook's source: by its index where it is recorded, by its number where a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class CellRef(msgspec.Struct, frozen=True, order=True):
    """A cell by its place among all cells of the source file. ``index`` counts from 0."""

    index: int

    @property
    def number(self) -> int:
        """Its place as it is shown, from 1."""
        return self.index + 1

    def __str__(self) -> str:
        return f"cell {self.number}"


def order_of(name: str) -> int:
    """Return the place of a cell among those that count, from 1; ``name`` is that of its ingredient."""
    return int(name)


def cell_of(name: str, cells: Sequence[CellRef]) -> CellRef | None:
    """Return the cell of an ingredient, out of those that count; ``None`` where there are fewer now."""
    order = order_of(name)
    return cells[order - 1] if order <= len(cells) else None
