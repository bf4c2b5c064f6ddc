"""The graph of a run as the site draws it: tasks by number, in positions that are the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from nbmake_dag_reporting.layout import layout


def drawn_graph(above: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Lay out tasks, given with those above each; one that is not among them is left out."""
    edges = ((start, name) for name, starts in above.items() for start in starts if start in above)
    return _laid_out(tuple(above), tuple(edges))


def folded_graph(above: Mapping[str, Iterable[str]], family: Mapping[str, str]) -> dict[str, Any] | None:
    """Lay out families, each with the numbers of its tasks; ``None`` where none has two, or they go in circles."""
    groups: dict[str, list[int]] = {}
    for number, name in enumerate(above):
        groups.setdefault(family[name], []).append(number)
    if len(groups) == len(above):
        return None
    needs: dict[str, list[str]] = {name: [] for name in groups}
    for name, starts in above.items():
        needs[family[name]] += [family[start] for start in starts if start in above]
    needs = {name: [other for other in dict.fromkeys(starts) if other != name] for name, starts in needs.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        return None
    return {"graph": drawn_graph(needs), "groups": [[name, numbers] for name, numbers in groups.items()]}


@lru_cache(maxsize=16)
def _laid_out(names: tuple[str, ...], edges: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    numbers = {name: number for number, name in enumerate(names)}
    placed = layout(names, edges)
    return {
        "nodes": [[placed.nodes[name].x, placed.nodes[name].y] for name in names],
        "edges": [
            [numbers[start], numbers[end], [[point.x, point.y] for point in points]]
            for (start, end), points in placed.edges.items()
        ],
        "width": placed.width,
        "height": placed.height,
    }
