"""Files that tasks use and do not declare, as text: a line for a task, or one for each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbmake_dag.present.text import plain
from nbmake_dag.record.outcome import UndeclaredFile


def undeclared_line(task: str, files: Sequence[UndeclaredFile]) -> str:
    """Return what a task uses and does not declare, first what changed since, and what declares it."""
    first = min(files, key=lambda file: (not file.changed, file.mode != "read"))
    others = len({file.path for file in files}) - 1
    more = f" and {others} more file{'' if others == 1 else 's'}" if others else ""
    them = "them" if others else "it"
    if all(file.mode == "write" for file in files):
        return f"{plain(task)} writes {plain(first.path)}{more} and does not declare {them} in its `outputs`"
    verb = "read" if first.changed else "reads" if first.mode == "read" else "writes"
    changed = ", which changed since," if first.changed else ""
    command = f"`nbdag declare {quoted(plain(task))}`"
    return f"{plain(task)} {verb} {plain(first.path)}{changed}{more} and does not declare {them}: {command}"


def undeclared_lines(files: Sequence[UndeclaredFile]) -> Iterator[str]:
    """Yield a line for each access."""
    for file in files:
        changed = " (changed since)" if file.changed else ""
        yield f"    {'read ' if file.mode == 'read' else 'wrote'}  {plain(file.path)}{changed}"


def quoted(word: str) -> str:
    """Quote the name of a task for a shell, where it needs it."""
    from shlex import quote  # noqa: PLC0415 - most builds have nothing to remind of

    return quote(word)
