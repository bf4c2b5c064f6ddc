"""Compare what the cells of two executions showed, without what changes from run to run and means nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nbmake_dag_reporting.cell_ref import CellRef

_NOISE = (
    # as the site's comparison of notebooks has them, in reporting/site/src/align.ts
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\b0x[0-9a-f]{6,16}\b", re.IGNORECASE), "0x…"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b\d+(?:\.\d+)?\s?(?:ns|µs|us|ms|s|sec|seconds|min|it/s)\b"), "<duration>"),
    (re.compile(r"\b(?:In|Out) ?\[\d+\]"), "[n]"),
    (re.compile(r'\bid="[^"]*"'), 'id=""'),
)
_LONGEST = 60
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")


def first_difference(before: bytes, after: bytes, cells: Sequence[CellRef]) -> str:
    """Return where the outputs of cells differ first, nothing where only noise does.

    Both are what a record's ``cells`` names; ``cells`` are those that count.
    """
    old, new = (msgspec.json.decode(data, type=list[dict[str, Any]]) for data in (before, after))
    if len(old) != len(new):
        return f"{len(new)} cells have outputs, and {len(old)} had"
    for number, (a, b) in enumerate(zip(old, new, strict=True)):
        was, now = (_quiet(cell.get("outputs", [])) for cell in (a, b))
        if was != now:
            # the cell with the parameters that was added is no cell of the source
            at = number - (len(old) - len(cells)) if cells else number
            name = str(cells[at]) if 0 <= at < len(cells) else f"cell {number + 1}"
            return f"{name}: {_how(was, now)}"
    return ""


def quiet_text(text: str) -> str:
    """Return a text without what changes from run to run and means nothing."""
    for pattern, instead in _NOISE:
        text = pattern.sub(instead, text)
    return text


def _quiet(outputs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the texts and pictures of outputs, by what they are; streams are joined."""
    found: dict[str, str] = {}
    for output in outputs:
        match output:
            case {"output_type": "stream", "name": name, "text": text}:
                found[f"its {name}"] = found.get(f"its {name}", "") + _text(text)
            case {"output_type": "error", "ename": name, "evalue": value}:
                found["its error"] = f"{name}: {_text(value)}"
            case {"data": {**data}}:
                for media, content in data.items():
                    what = "the picture" if media in _PICTURES else f"what it shows ({media})"
                    name = f"{what} {len(found) + 1}"
                    found[name] = (
                        content if media in _PICTURES[:2] and isinstance(content, str) else _text(content)
                    )
            case _:
                pass
    return {name: quiet_text(text) for name, text in found.items()}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(map(str, value))
    return json.dumps(value, sort_keys=True)


def _how(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    for name in [*before, *after]:
        if before.get(name) == after.get(name):
            continue
        what = re.sub(r" \d+$", "", name)
        if name not in before:
            return f"{what} is new"
        if name not in after:
            return f"{what} is gone"
        if what == "the picture":
            return f"{what} differs"
        old, new = before[name].splitlines(), after[name].splitlines()
        for a, b in zip(old, new, strict=False):
            if a != b:
                return f"{what}: {_cut(a)} → {_cut(b)}"
        return f"{what} has {len(new)} lines, and had {len(old)}"
    return "the order of its outputs"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
