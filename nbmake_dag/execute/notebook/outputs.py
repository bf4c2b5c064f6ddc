"""The outputs of a cell as they are stored: streams joined, limited to a size that notebooks can still open."""

from __future__ import annotations

import json
import re
from math import inf, isinf
from typing import Any

from nbformat import NotebookNode

TEXT_LIMIT = 1 << 20
"""Characters of streams in one cell."""
RICH_LIMIT = 16 << 20
"""Characters of one other output; binary data is base64 here."""
NOTEBOOK_LIMIT = 64 << 20
"""Characters of all outputs."""
DEPTH_LIMIT = 200
"""Lists and objects inside each other in one output: what reads and writes notebooks calls itself for each."""

_JSON = re.compile(r"application/(.*\+)?json")
_OVERHEAD = 256
"""The size that an output counts in addition to its data: a hundred thousand empty ones are too many, too."""


class OutputLimits:
    """Decides what of a notebook's outputs is kept, in the order in which they come."""

    def __init__(self) -> None:
        self._left = NOTEBOOK_LIMIT
        self._text_left = TEXT_LIMIT
        self._noted = False

    def begin_cell(self) -> None:
        self._text_left = TEXT_LIMIT
        self._noted = False

    def stream(self, text: str) -> str:
        """Return what is kept of printed text, with a note in place of the first that is not."""
        room = min(self._text_left, self._left)
        self._text_left -= min(len(text), room)
        self._left -= min(len(text), room)
        if len(text) <= room:
            return text
        return text[:room] + ("" if self._note_once() else _note("more text", TEXT_LIMIT, self._left))

    def rich(self, content: dict[str, Any]) -> str | None:
        """Return ``None`` for an output that is kept, and what is shown instead for one that is not."""
        size = _OVERHEAD + _size(content)
        if isinf(size):
            return f"\n[nbdag left out an output: it is nested deeper than {DEPTH_LIMIT}]\n"
        if size <= min(RICH_LIMIT, self._left):
            self._left -= int(size)
            return None
        if size <= RICH_LIMIT and self._note_once():
            return ""
        return _note(f"an output of {int(size) >> 10} KiB", RICH_LIMIT, max(0, self._left - int(size)))

    def update(self, data: dict[str, Any]) -> bool:
        """Return whether an output may be replaced by other data."""
        return _size(data) <= RICH_LIMIT

    def _note_once(self) -> bool:
        """Return whether this cell has its note already."""
        noted, self._noted = self._noted, True
        return noted


class StreamJoiner:
    """The outputs of one cell, while they come: pieces of a stream are joined once, when the cell has ended."""

    def __init__(self) -> None:
        self._pieces: list[tuple[NotebookNode, list[str]]] = []

    def add(self, outputs: list[NotebookNode], name: str, text: str) -> None:
        """Append to the last output if it is the same stream, else begin a new one."""
        if not (self._pieces and outputs and outputs[-1] is self._pieces[-1][0] and outputs[-1]["name"] == name):
            outputs.append(NotebookNode(output_type="stream", name=name, text=""))  # type: ignore[no-untyped-call]
            self._pieces.append((outputs[-1], []))
        self._pieces[-1][1].append(text)

    def join(self) -> None:
        """Write out the text, without what progress bars overwrote."""
        for output, pieces in self._pieces:
            output["text"] = _as_shown("".join(pieces))
        self._pieces = []


def _as_shown(text: str) -> str:
    """Keep of every line what a terminal would show at the end."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def well_formed(message_type: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a message about an output as nbformat admits it.

    A kernel sends whatever a display hook returns. Values that are not text are kept as text, because a valid
    notebook is worth more than one odd output.
    """
    match message_type:
        case "stream":
            return {"name": _text(content.get("name", "stdout")), "text": _text(content.get("text", ""))}
        case "error":
            traceback = content.get("traceback")
            return {
                "ename": _text(content.get("ename", "Error")),
                "evalue": _text(content.get("evalue", "")),
                "traceback": [_text(line) for line in traceback] if isinstance(traceback, list) else [],
            }
        case "display_data" | "update_display_data" | "execute_result":
            data, metadata = content.get("data"), content.get("metadata")
            well = {
                **content,
                "data": _bundle(data) if isinstance(data, dict) else {"text/plain": _text(data)},
                "metadata": metadata if isinstance(metadata, dict) else {},
            }
            if not isinstance(well.get("execution_count", 0), int):
                well["execution_count"] = None
            return well
        case _:
            return content


def _bundle(data: dict[str, Any]) -> dict[str, Any]:
    """Return a MIME bundle in which all but JSON is text."""
    return {
        kind: value if _JSON.fullmatch(kind) or _is_text(value) else _text(value) for kind, value in data.items()
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(line, str) for line in value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _size(value: Any, levels: int = DEPTH_LIMIT) -> float:
    """Return the characters of a value; of one with more levels than these, infinity."""
    if not isinstance(value, dict | list):
        return len(value) if isinstance(value, str) else 8
    if levels == 0:
        return inf
    if isinstance(value, dict):
        return sum(len(key) + _size(each, levels - 1) for key, each in value.items())
    return sum(_size(each, levels - 1) for each in value)


def _note(what: str, limit: int, left: int) -> str:
    why = (
        f"the limit is {limit >> 20} MiB" if left else f"the notebook holds {NOTEBOOK_LIMIT >> 20} MiB of outputs"
    )
    return f"\n[nbdag left out {what}: {why}]\n"
