"""A copy and its source that were both edited: how that is shown in the copy, and what a person chooses there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from difflib import SequenceMatcher, unified_diff
from typing import Any, Literal, TypeAlias

import nbformat
from nbformat.v4 import new_markdown_cell

from nbmake_dag.editor.source_text import CONFLICT

Take: TypeAlias = Literal["copy", "source"]
_CHOICES: dict[str, Take] = {"take: copy": "copy", "take: source": "source"}
_NOTICE = """\
**This notebook and {source} were both changed in the same place. Nothing is saved until you choose.**

Replace all of this cell by one of these lines, then save:

- `take: copy` keeps what this notebook has,
- `take: source` loads what the file has.

Or, in a terminal: `nbdag open {task} --take=copy`, or `--take=source`. What the other had is kept in {folder}.

This was changed in {source}:

```diff
{difference}
```"""
_LONGEST = 60
"""Lines of the difference that are shown."""


def with_notice(copy: str, task: str, source: str, base: str, now: str) -> str:
    """Return the ``.ipynb`` text of a copy that says in its first cell what happened to its source."""
    notebook: Any = nbformat.reads(copy, 4)  # type: ignore[no-untyped-call]
    if any(_notices(notebook)):
        return copy
    name = os.path.basename(source)
    difference = [
        line.rstrip("\r\n") for line in unified_diff(base.splitlines(), now.splitlines(), name, name, n=1)
    ]
    more = [f"... {len(difference) - _LONGEST} more lines"] if len(difference) > _LONGEST else []
    notice = _NOTICE.format(
        source=f"`{name}`",
        task=shlex.quote(task),
        folder="the folder of this notebook",
        difference="\n".join(difference[:_LONGEST] + more),
    )
    notebook.cells.insert(0, new_markdown_cell(notice, metadata={"tags": [CONFLICT]}))  # type: ignore[no-untyped-call]
    return _text(notebook)


def without_notice(copy: str) -> str:
    """Return the text of a copy in which the choice was made."""
    notebook: Any = nbformat.reads(copy, 4)  # type: ignore[no-untyped-call]
    notices = list(_notices(notebook))
    if not notices:
        return copy
    notebook.cells = [cell for cell in notebook.cells if not any(cell is notice for notice in notices)]
    return _text(notebook)


def choice(copy: str) -> Take | None:
    """Return what a person has chosen in a copy."""
    if CONFLICT not in copy:
        return None
    try:
        notebook = nbformat.reads(copy, 4)  # type: ignore[no-untyped-call]
    except ValueError:
        # it is just being written
        return None
    texts = (" ".join(cell.source.replace("`", "").lower().split()) for cell in _notices(notebook))
    return next((_CHOICES[text] for text in texts if text in _CHOICES), None)


def with_outputs_of(copy: str, fresh: str) -> str:
    """Return the text of a ``fresh`` copy with the outputs that the cells have in the one of before."""
    old: Any = nbformat.reads(copy, 4)  # type: ignore[no-untyped-call]
    new: Any = nbformat.reads(fresh, 4)  # type: ignore[no-untyped-call]
    before, after = ([(cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (old, new))
    for one, other, size in SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks():
        for offset in range(size):
            cell, kept = new.cells[other + offset], old.cells[one + offset]
            if cell.cell_type == "code" and kept.outputs:
                cell.outputs, cell.execution_count = kept.outputs, kept.execution_count
    return _text(new)


def _notices(notebook: Any) -> Iterator[Any]:
    return (cell for cell in notebook.cells if CONFLICT in cell.metadata.get("tags", ()))


def _text(notebook: Any) -> str:
    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]
