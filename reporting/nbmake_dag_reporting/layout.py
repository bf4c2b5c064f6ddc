"""Where the tasks of a graph are drawn: in layers from left to right, with few crossings, the same every time.

Longest-path layers; edges that pass through layers get a waypoint in each; the order within layers by
barycentres, of which the best of several sweeps is kept; heights by pulling everything towards its neighbours.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

_SWEEPS = 8
_PULLS = 12


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """``x`` counts layers, ``y`` rows; both from 0."""

    x: int
    y: float


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """``nodes`` and ``edges`` in the order they were given in; an edge runs through its points."""

    nodes: Mapping[str, Point]
    edges: Mapping[tuple[str, str], tuple[Point, ...]]
    width: int
    height: float


def layout(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """Lay out a graph without cycles; ``edges`` lead from a task to one that needs it."""
    given = list(dict.fromkeys(edges))
    depth = _layers(nodes, given)
    chains, layers = _waypoints(nodes, given, depth)
    _order(layers, chains)
    heights = _heights(layers, chains)
    top = min(heights.values(), default=0.0)
    points = {
        item: Point(x=x, y=round(heights[item] - top, 3)) for x, layer in enumerate(layers) for item in layer
    }
    return Layout(
        nodes={name: points[name] for name in nodes},
        edges={edge: tuple(points[item] for item in chain) for edge, chain in zip(given, chains, strict=True)},
        width=len(layers),
        height=max((point.y for point in points.values()), default=0.0) + 1 if points else 0.0,
    )


_Item = str | tuple[int, int]
"""A task, or a waypoint: the edge's number and the layer."""


def _layers(nodes: Sequence[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Assign every task the layer after the last of those that it needs."""
    above: dict[str, int] = dict.fromkeys(nodes, 0)
    below: dict[str, list[str]] = {name: [] for name in nodes}
    for start, end in edges:
        below[start].append(end)
        above[end] += 1
    depth = dict.fromkeys(nodes, 0)
    ready = [name for name in nodes if not above[name]]
    for name in ready:
        for after in below[name]:
            depth[after] = max(depth[after], depth[name] + 1)
            above[after] -= 1
            if not above[after]:
                ready.append(after)
    return depth


def _waypoints(
    nodes: Sequence[str], edges: list[tuple[str, str]], depth: dict[str, int]
) -> tuple[list[list[_Item]], list[list[_Item]]]:
    layers: list[list[_Item]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in nodes:
        layers[depth[name]].append(name)
    chains: list[list[_Item]] = []
    for number, (start, end) in enumerate(edges):
        between: list[_Item] = [(number, x) for x in range(depth[start] + 1, depth[end])]
        for x, item in enumerate(between, depth[start] + 1):
            layers[x].append(item)
        chains.append([start, *between, end])
    return chains, layers


def _neighbours(chains: list[list[_Item]]) -> tuple[dict[_Item, list[_Item]], dict[_Item, list[_Item]]]:
    left: dict[_Item, list[_Item]] = {}
    right: dict[_Item, list[_Item]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            right.setdefault(one, []).append(other)
            left.setdefault(other, []).append(one)
    return left, right


def _order(layers: list[list[_Item]], chains: list[list[_Item]]) -> None:
    """Sort each layer by the positions of its neighbours, there and back, and keep the best order seen."""
    left, right = _neighbours(chains)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, right)
    for _ in range(_SWEEPS):
        for forwards in (True, False):
            sides = left if forwards else right
            sequence = layers[1:] if forwards else layers[-2::-1]
            fixed = layers[0 if forwards else -1] if layers else []
            for layer in sequence:
                at = {item: place for place, item in enumerate(fixed)}
                own = {item: place for place, item in enumerate(layer)}
                pulls = {item: _mean([at[other] for other in sides.get(item, ())], own[item]) for item in layer}
                layer.sort(key=pulls.__getitem__)
                fixed = layer
            count = _crossings(layers, right)
            if count < fewest:
                best, fewest = [list(layer) for layer in layers], count
    for layer, kept in zip(layers, best, strict=True):
        layer[:] = kept


def _crossings(layers: list[list[_Item]], right: dict[_Item, list[_Item]]) -> int:
    total = 0
    for layer, following in pairwise(layers):
        at = {item: place for place, item in enumerate(following)}
        seen: list[int] = []
        for item in layer:
            ends = sorted(at[other] for other in right.get(item, ()))
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _heights(layers: list[list[_Item]], chains: list[list[_Item]]) -> dict[_Item, float]:
    """Pull every item to the mean height of its neighbours, and keep a row's distance within a layer."""
    left, right = _neighbours(chains)
    tallest = max((len(layer) for layer in layers), default=0)
    height: dict[_Item, float] = {
        item: place + (tallest - len(layer)) / 2 for layer in layers for place, item in enumerate(layer)
    }
    for round_ in range(_PULLS):
        for layer in layers if round_ % 2 == 0 else reversed(layers):
            wanted = [
                _mean([height[other] for other in (*left.get(item, ()), *right.get(item, ()))], height[item])
                for item in layer
            ]
            height.update(zip(layer, _spread(wanted), strict=True))
    return height


def _spread(wanted: list[float]) -> list[float]:
    """Move heights apart to a distance of 1, as little as that takes: runs of neighbours share a mean."""
    groups: list[tuple[float, int]] = []
    for place, y in enumerate(wanted):
        total, size = y - place, 1
        while groups and groups[-1][0] / groups[-1][1] > total / size:
            above, count = groups.pop()
            total, size = total + above, size + count
        groups.append((total, size))
    flat = [total / size for total, size in groups for _ in range(size)]
    return [base + place for place, base in enumerate(flat)]


def _mean(values: list[float] | list[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
