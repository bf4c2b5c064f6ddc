"""Write edits made in a copy back into the text of the source, without the injected cells.

What was not edited stays as it is, byte for byte: headers, markers of cells, ends of lines, the end of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

import jupytext
import nbformat

from nbmake_dag.execute.notebook.source import INJECTED, identified
from nbmake_dag_cache.notebook import jupytext_notebook

SETUP = "nbdag-setup"
"""The tag of the cell that makes an editor's kernel work where the task does."""
CONFLICT = "nbdag-conflict"
"""The tag of the cell that says that source and copy were both edited."""
_MARK = "\ufeff"
"""The byte order mark that some editors write."""
_CODING = "# -*- coding: utf-8 -*-\n"
"""What Jupytext adds to a script with characters beyond ASCII; Python 3 does not need it."""
_INDENT = re.compile(r"^[{\[]\r?\n( +|\t+)")


def edited_source(source: str, path: str, copy: str, form: str = "") -> str:
    """Return ``source`` with the cells of the ``.ipynb`` text ``copy``; the same text where none was edited.

    ``path``, and ``form`` where the pipeline gives one, tell the format of the source. An ``.ipynb`` source takes
    the outputs over too, and keeps those of cells that were neither edited nor executed.
    """
    cells = own_cells(nbformat.reads(copy, 4))  # type: ignore[no-untyped-call]
    plain = source.removeprefix(_MARK)
    after = _of_notebook(plain, cells) if path.endswith(".ipynb") else _of_text(plain, path, cells, form)
    return source.removesuffix(plain) + after if plain else after


def merged_edits(base: str, mine: str, theirs: str) -> str | None:
    """Return a text with what was edited in either of two, ``None`` where both edited the same lines."""
    texts = [text.splitlines(keepends=True) for text in (base, mine, theirs)]
    merged: list[str] = []
    ended = [0, 0, 0]
    for in_base, in_mine, in_theirs, size in _common(*texts):
        places = (in_base, in_mine, in_theirs)
        old, own, new = (text[end:place] for text, end, place in zip(texts, ended, places, strict=True))
        if old not in (own, new) and own != new:
            return None
        merged += new if own == old else own
        merged += texts[1][in_mine : in_mine + size]
        ended = [place + size for place in places]
    return "".join(merged)


def own_cells(notebook: Any) -> list[Any]:
    """Return the cells that an author wrote."""
    return [
        cell for cell in notebook.cells if {INJECTED, SETUP, CONFLICT}.isdisjoint(cell.metadata.get("tags", ()))
    ]


def _of_notebook(source: str, cells: list[Any]) -> str:
    notebook = nbformat.reads(source, 4)  # type: ignore[no-untyped-call]
    before = own_cells(notebook)
    _keep_outputs(before, cells)
    if [_content(cell) for cell in before] == [_content(cell) for cell in cells]:
        return source
    notebook.cells = cells
    # of which cells have an id
    notebook.nbformat_minor = max(notebook.nbformat_minor, 5)
    return rewritten(source, notebook)


def rewritten(source: str, notebook: Any) -> str:
    """Return the text of a notebook, indented and ended as its text of before."""
    indent = _INDENT.search(source)
    text: str = nbformat.writes(notebook, indent=indent[1] if indent else 1)  # type: ignore[no-untyped-call]
    return _ended_alike(text, source)


def _content(cell: Any) -> dict[str, Any]:
    return {name: value for name, value in cell.items() if name != "id"}


def _keep_outputs(before: list[Any], after: list[Any]) -> None:
    known = {identified(index, cell.get("id")): cell for index, cell in enumerate(before)}
    for cell in after:
        old = known.get(cell.id)
        executed = cell.get("outputs") or cell.get("execution_count")
        if old and not executed and old.source == cell.source and old.cell_type == cell.cell_type == "code":
            cell.outputs, cell.execution_count = old.outputs, old.execution_count


def _of_text(source: str, path: str, cells: list[Any], form: str) -> str:
    extension = os.path.splitext(path)[1]
    notebook = jupytext_notebook(source.replace("\r\n", "\n"), extension, form)
    settings = notebook.metadata["jupytext"]
    target = f"{extension}:{settings['text_representation']['format_name']}"
    # Jupytext drops all metadata of cells from a file without a header that has none
    if settings.get("cell_metadata_filter") == "-all":
        settings["cell_metadata_filter"] = "tags,-all"
    before: str = jupytext.writes(notebook, fmt=target)
    notebook.cells = cells
    after: str = jupytext.writes(notebook, fmt=target)
    if after == before:
        return source
    if not before.startswith(_CODING):
        after = after.removeprefix(_CODING)
    mine = _lines(source).rstrip("\n") + "\n"
    merged = _ended_alike("\n".join(_merged(*(text.split("\n") for text in (before, mine, after)))), source)
    wanted = _read(after, extension, form)
    return merged if _read(merged, extension, form) == wanted else _ended_alike(after, source)


def _read(text: str, extension: str, form: str) -> list[tuple[str, str, Any]]:
    cells = jupytext_notebook(text.replace("\r\n", "\n"), extension, form).cells
    return [(cell.cell_type, cell.source, cell.metadata) for cell in cells]


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _ended_alike(text: str, source: str) -> str:
    """End lines, and the file, as the source does."""
    end = source[len(source.rstrip("\r\n")) :]
    text = _lines(text).rstrip("\n") + _lines(end)
    return text.replace("\n", "\r\n") if _is_windows(source) else text


def _is_windows(source: str) -> bool:
    return source.count("\r\n") * 2 > source.count("\n")


def _merged(base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Iterator[str]:
    """Merge the change from ``base`` to ``theirs`` into ``mine``; where both differ, theirs counts."""
    at_base = at_mine = at_theirs = 0
    for in_base, in_mine, in_theirs, size in _common(base, mine, theirs):
        yield from _merged_between(base[at_base:in_base], mine[at_mine:in_mine], theirs[at_theirs:in_theirs])
        yield from mine[in_mine : in_mine + size]
        at_base, at_mine, at_theirs = in_base + size, in_mine + size, in_theirs + size


def _merged_between(base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Sequence[str]:
    if base == theirs:
        return mine
    if len(base) == len(mine) == len(theirs):
        return [own if old == new else new for old, own, new in zip(base, mine, theirs, strict=True)]
    if mine[: len(base)] == base:
        return [*theirs, *mine[len(base) :]]
    if mine[len(mine) - len(base) :] == base:
        return [*mine[: len(mine) - len(base)], *theirs]
    return theirs


def _common(
    base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield the stretches that all three have: the place in each, and the length. The last one is empty."""
    left = SequenceMatcher(None, base, mine, autojunk=False).get_matching_blocks()
    right = SequenceMatcher(None, base, theirs, autojunk=False).get_matching_blocks()
    for one in left:
        for other in right:
            start, end = max(one.a, other.a), min(one.a + one.size, other.a + other.size)
            if start < end:
                yield start, one.b + start - one.a, other.b + start - other.a, end - start
    yield len(base), len(mine), len(theirs), 0
