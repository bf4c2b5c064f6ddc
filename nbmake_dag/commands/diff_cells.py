"""Cells in a comparison by their place in the file, as they are counted everywhere else."""

from __future__ import annotations

import re
from dataclasses import replace

from nbmake_dag.build.executed import cell_places
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.compare import Change, Comparison

_CELL = re.compile(r"cell (\d+)")


def with_places(found: Comparison, before: Recorded, after: Recorded) -> Comparison:
    """Name the cells among ingredients by their places, where the source of the notebook is still there."""
    return replace(found, ingredients=tuple(_placed(change, before, after) for change in found.ingredients))


def _placed(change: Change, before: Recorded, after: Recorded) -> Change:
    cell = _CELL.fullmatch(change.name)
    if cell is None:
        return change
    places = cell_places(before if change.after is None else after, change.task)
    number = int(cell[1])
    return replace(change, name=f"cell {places[number - 1] + 1}") if number <= len(places) else change
