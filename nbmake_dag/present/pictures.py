"""The pictures that differ between two runs, beside each other on one HTML page that needs nothing else.

Pictures are hostile: they are data URIs in ``img``, where no script of an SVG runs, and the page's policy forbids
every request.
"""

from __future__ import annotations

import base64
import json
import mimetypes
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any, assert_never

import msgspec

from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.compare import Cells, Comparison, ResultChange

BEGINNING = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="generator" content="nbdag diff">
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """\
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem }
figure { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin: 0 0 2rem }
figcaption { grid-column: 1 / -1; font-weight: bold; overflow-wrap: anywhere }
figure div { overflow: auto }
img { max-width: 100%; background: #fff; border: 1px solid #888 }
"""
_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"})
_LARGEST = 8_000_000
_MOST = 40_000_000
"""Bytes of one picture, and of all on a page."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One picture as it was in one run."""

    media_type: str
    data: bytes


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that differs; ``None`` where a run has none, or it is no longer in the cache."""

    name: str
    before: Shown | None
    after: Shown | None


def changed_pictures(found: Comparison, old: Recorded, new: Recorded, cells: Cells) -> list[Pair]:
    """List the outputs, artefacts and displayed pictures that differ, as far as the cache still has them."""
    pairs = (pair for change in found.results for pair in _pairs(change, old, new, cells))
    return [pair for pair in pairs if pair.before or pair.after]


def pictures_page(found: Comparison, pairs: Sequence[Pair], refuse: Callable[[bytes, str], str]) -> str:
    """Write the page. ``refuse`` is given a picture and its name, and returns why it must not be shown, if so."""
    left = _MOST
    figures: list[str] = []
    for pair in pairs:
        sides: list[str] = []
        for run, shown in ((found.before, pair.before), (found.after, pair.after)):
            note, picture = "", ""
            if shown is None:
                note = "none, or no longer in the cache"
            elif len(shown.data) > min(_LARGEST, left):
                note = f"left out: {len(shown.data) / 1e6:.1f} MB"
            elif why := refuse(shown.data, f"{pair.name} of run {run}"):
                note = f"left out: {why}"
            else:
                left -= len(shown.data)
                data = base64.b64encode(shown.data).decode()
                picture = f'<img alt="" src="data:{shown.media_type};base64,{data}">'
            sides.append(f"<div>{escape(run)}: {escape(note)}<br>{picture}</div>")
        figures.append(f"<figure><figcaption>{escape(pair.name)}</figcaption>{''.join(sides)}</figure>")
    title = f"{found.before} → {found.after}: {len(pairs)} picture{'' if len(pairs) == 1 else 's'}"
    return (
        f'{BEGINNING}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>\n{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{chr(10).join(figures)}\n</html>\n"
    )


def _pairs(change: ResultChange, old: Recorded, new: Recorded, cells: Cells) -> Iterator[Pair]:
    match change.kind:
        case "notebook":
            yield from _displayed(f"{change.task}: {change.name}", change, old, new, cells)
        case "output":
            yield from _files(change, old, new)
        case "artifact":
            sides = (_artifact(run, change) for run in (old, new))
            yield Pair(name=f"{change.task}: {change.name}", before=next(sides), after=next(sides))
        case _:
            assert_never(change.kind)


def _artifact(recorded: Recorded, change: ResultChange) -> Shown | None:
    logged = recorded.run.tasks[change.task].artifacts.get(change.name)
    return _read(recorded, logged.sha256, logged.media_type) if logged else None


def _files(change: ResultChange, old: Recorded, new: Recorded) -> Iterator[Pair]:
    """Pair the pictures of an output, which may be a folder, by their paths."""
    before, after = _blobs(old, change), _blobs(new, change)
    for path in sorted({*before, *after}):
        was, now = before.get(path, ""), after.get(path, "")
        if was != now:
            media_type = mimetypes.guess_type(path)[0] or ""
            sides = (_read(run, sha256, media_type) for run, sha256 in ((old, was), (new, now)))
            yield Pair(name=f"{change.task}: {path}", before=next(sides), after=next(sides))


def _blobs(recorded: Recorded, change: ResultChange) -> dict[str, str]:
    """Return the blob of each file of an output; nothing if its record is gone."""
    ref = recorded.run.tasks[change.task].record
    record = recorded.record(ref.own_key, ref.key) if ref else None
    outputs = (output for output in (record or {}).get("outputs", ()) if output["path"] == change.name)
    return {file["path"]: file["sha256"] for output in outputs for file in output["files"]}


def _read(recorded: Recorded, sha256: str, media_type: str) -> Shown | None:
    data = recorded.blob(sha256) if sha256 and media_type in _TYPES else None
    return None if data is None else Shown(media_type=media_type, data=data)


def _displayed(name: str, change: ResultChange, old: Recorded, new: Recorded, cells: Cells) -> Iterator[Pair]:
    """Pair what notebooks displayed, in order, without those pictures that both displayed."""
    before, after = _images(old, change.before), _images(new, change.after)
    common = Counter(shown for _, shown in before) & Counter(shown for _, shown in after)
    gone, come = _without(before, common), _without(after, common)
    for place in range(max(len(gone), len(come))):
        was, now = gone[place : place + 1], come[place : place + 1]
        run, (index, _) = (new, now[0]) if now else (old, was[0])
        counted = cells(run, change.task)
        cell = counted[index] if index < len(counted) else CellRef(index)
        yield Pair(name=f"{name}, {cell}", before=was[0][1] if was else None, after=now[0][1] if now else None)


def _without(images: Sequence[tuple[int, Shown]], common: Counter[Shown]) -> list[tuple[int, Shown]]:
    left = Counter(common)
    others: list[tuple[int, Shown]] = []
    for index, shown in images:
        if left[shown]:
            left[shown] -= 1
        else:
            others.append((index, shown))
    return others


def _images(recorded: Recorded, digest: str | None) -> list[tuple[int, Shown]]:
    """List the pictures among the outputs of cells, each with its cell's place; the best type of each output."""
    data = recorded.blob(digest) if digest else None
    found: list[tuple[int, Shown]] = []
    for index, cell in enumerate(_listed(data)):
        for output in cell.get("outputs", ()) if isinstance(cell, dict) else ():
            shown: dict[str, Any] = output.get("data", {}) if isinstance(output, dict) else {}
            for media_type in ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"):
                if (content := shown.get(media_type)) is not None:
                    text = "".join(map(str, content)) if isinstance(content, list) else str(content)
                    picture = text.encode() if media_type == "image/svg+xml" else _decoded(text)
                    found.append((index, Shown(media_type=media_type, data=picture)))
                    break
    return found


def _listed(data: bytes | None) -> list[Any]:
    try:
        cells = json.loads(data or b"[]")
    except ValueError:
        return []
    return cells if isinstance(cells, list) else []


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""
