"""Reduce a traceback's text, of IPython or of Python, to the user's frames.

Text in any other form is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from nbmake_dag.present.text import fit, plain, width

MAX_WIDTH = 200
_MAX_TEXT = 1 << 18
_FIRST, _LAST = 10, 30
"""Lines that are shown of a long text."""

_FRAME = re.compile(
    r"""\s*(?:
        Cell\ In\[\d+\],\ line\ (?P<cell_line>\d+)(?P<inner>,\ in\ )?
        | File\ "(?P<path>[^"]+)",\ line\ \d+
        | File\ (?P<ipython_path>\S.*?):\d+(?:,\ in\ |$)
    )""",
    re.VERBOSE,
)
_TITLE = re.compile(r"-{20,}$|Traceback \(most recent call last\):$|\S+ +Traceback \(most recent call last\)$")
_NO_SOURCE = "Could not get source, probably due dynamically evaluated source code."
"""What IPython shows in place of the line of a compiled frame."""
_OURS = re.compile(r"/(?:IPython|ipykernel|nbmake_dag/inside)/|^<frozen ")
_ARGUMENTS = re.compile(r"\(.*\)$")
_LIBRARY = re.compile(r"/(?:site-packages|dist-packages|lib/python3\.\d+)/")


class _Part(msgspec.Struct):
    """A frame, its first line a place; or text between frames, ``path`` is ``None``."""

    path: str | None
    lines: list[str] = []
    is_failing_line: bool = False


def users_part(traceback: str, failing_line: int | None) -> tuple[list[str], list[str]]:
    """Return the frames, and the exception below them with its notes; empty lists where there is no traceback.

    Frames of IPython and of nbdag are left out, of those in libraries only the places are kept. The frame of the
    failing cell's line ``failing_line`` is left out too: its code is shown anyway.
    """
    parts = _parts(traceback, failing_line)
    exception = parts.pop().lines if parts and parts[-1].path is None and len(parts) > 1 else []
    shown = [part for part in parts if not (part.is_failing_line or _OURS.search(part.path or ""))]
    frames: list[str] = []
    position = 0
    while position < len(shown):
        end = position
        while end < len(shown) and _LIBRARY.search(shown[end].path or ""):
            end += 1
        if end == position:
            frames += shown[position].lines
            position += 1
            continue
        places = [_ARGUMENTS.sub("", plain(part.lines[0])) for part in shown[position:end]]
        if len(places) > 3:
            places[1:-1] = [f"  … {len(places) - 2} more frames in libraries"]
        frames += places
        position = end
    return bounded(frames), bounded(exception)


def bounded(lines: Sequence[str]) -> list[str]:
    """Leave out the middle of a long text, and the ends of long lines."""
    if len(lines) > _FIRST + _LAST + 1:
        left_out = f"… {len(lines) - _FIRST - _LAST} lines are left out"
        lines = [*lines[:_FIRST], left_out, *lines[-_LAST:]]
    return [line if width(plain(line)) <= MAX_WIDTH else fit(plain(line), MAX_WIDTH) for line in lines]


def _parts(traceback: str, failing_line: int | None) -> list[_Part]:
    parts: list[_Part] = []
    for line in _shortened(traceback).split("\n"):
        bare = plain(line)
        if not bare.strip() or _TITLE.match(bare) or _NO_SOURCE in bare:
            continue
        if match := _FRAME.match(bare):
            of_cell = match["cell_line"] is not None
            path = "" if of_cell else match["path"] or match["ipython_path"]
            failing = of_cell and not match["inner"] and int(match["cell_line"]) == failing_line
            parts.append(_Part(path, [line], failing))
        elif parts and (parts[-1].path is None or bare[0] in " -"):
            parts[-1].lines.append(line)
        else:
            parts.append(_Part(None, [line]))
    return parts


def _shortened(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[: _MAX_TEXT // 2]}\n{text[-_MAX_TEXT // 2 :]}"
