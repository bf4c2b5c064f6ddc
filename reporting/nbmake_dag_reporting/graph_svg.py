"""A drawing as self-contained SVG, readable on light and on dark."""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise

from nbmake_dag_reporting.drawing import LOOKS, Drawing, Node
from nbmake_dag_reporting.layout import Layout, Point, layout

_CHARACTER = 7.3
_PADDING = 12
_BOX = 40
_ROW = 60
_GAP = 70
_MARGIN = 20
_LONGEST = 60
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """\
text { font: 12px ui-monospace, monospace; fill: #1f2328; text-anchor: middle }
path { fill: none; stroke: #6e7781 }
.task rect { fill: #fff; stroke: #57606a }
"""
_DARK = """\
text { fill: #e6edf3 }
.task rect { fill: #161b22; stroke: #8b949e }
"""


def svg(drawing: Drawing) -> str:
    """Draw boxes in layers from left to right, with curves between them."""
    placed = layout([node.name for node in drawing.nodes], drawing.edges)
    columns = _columns(drawing, placed)
    width = sum(columns) + _GAP * max(0, len(columns) - 1) + 2 * _MARGIN
    height = placed.height * _ROW + 2 * _MARGIN
    lefts = [_MARGIN + sum(columns[:number]) + _GAP * number for number in range(len(columns))]
    colours = "".join(
        f".{status} rect {{ fill: {look.fill}; stroke: {look.stroke} }}\n" for status, look in LOOKS.items()
    )
    dark = "".join(f".{status} rect {{ fill: {look.dark} }}\n" for status, look in LOOKS.items())
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{_text(drawing.title)}</title>",
        f"<style>\n{_STYLE}{colours}@media (prefers-color-scheme: dark) {{\n{_DARK}{dark}}}\n</style>",
    ]
    lines += [f'<path d="{_curve(points, lefts, columns)}"/>' for points in placed.edges.values()]
    for node in drawing.nodes:
        point = placed.nodes[node.name]
        lines += _box(node, lefts[point.x], _middle(point), columns[point.x])
    return "\n".join([*lines, "</svg>"]) + "\n"


def _columns(drawing: Drawing, placed: Layout) -> list[float]:
    """Compute each layer's width, that of its longest label."""
    columns = [0.0] * placed.width
    for node in drawing.nodes:
        x = placed.nodes[node.name].x
        longest = max(len(_shortened(line)) for line in node.label.split("\n"))
        columns[x] = max(columns[x], longest * _CHARACTER + 2 * _PADDING)
    return columns


def _middle(point: Point) -> float:
    return _MARGIN + point.y * _ROW + _ROW / 2


def _curve(points: tuple[Point, ...], lefts: list[float], columns: list[float]) -> str:
    """Lead from the right side of the first box to the left side of the last, level through what is between."""
    path = [f"M{lefts[points[0].x] + columns[points[0].x]:.1f} {_middle(points[0]):.1f}"]
    for before, after in pairwise(points):
        start, end = lefts[before.x] + columns[before.x], lefts[after.x]
        bend = (start + end) / 2
        y, to_y = _middle(before), _middle(after)
        path.append(f"C{bend:.1f} {y:.1f} {bend:.1f} {to_y:.1f} {end:.1f} {to_y:.1f}")
        if after is not points[-1]:
            path.append(f"H{end + columns[after.x]:.1f}")
    return " ".join(path)


def _box(node: Node, left: float, middle: float, width: float) -> list[str]:
    labels = node.label.split("\n")
    first = middle + 4 - (len(labels) - 1) * 8
    radius = {"function": 20, "command": 0}.get(node.type, 5)
    return [
        f'<g class="task {node.status or ""}"><title>{_text(node.name)}</title>',
        f'<rect x="{left:.1f}" y="{middle - _BOX / 2:.1f}" width="{width:.1f}" height="{_BOX}" rx="{radius}"/>',
        *(
            f'<text x="{left + width / 2:.1f}" y="{first + 16 * number:.1f}">{_text(_shortened(label))}</text>'
            for number, label in enumerate(labels)
        ),
        "</g>",
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[1 - _LONGEST // 2 :]}"


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("�", text))
