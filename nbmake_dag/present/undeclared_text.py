"""Files that tasks use and do not declare, as text: a line for a task, or one for each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nbmake_dag.present.text import plain
from nbmake_dag.record.outcome import UndeclaredFile


def undeclared_line(task: str, files: Sequence[UndeclaredFile]) -> str:
    """Return what a task uses and does not declare, first what changed since, and what declares it."""
    read = sorted((file for file in files if file.mode == "read"), key=lambda file: not file.changed)
    written = [file for file in files if file.mode == "write"]
    writes = f"writes {_counted(written)} in its `outputs`" if written else ""
    if not read:
        return f"{plain(task)} {writes}"
    verb = "read" if read[0].changed else "reads"
    command = f"`nbdag declare {quoted(plain(task))}`"
    return f"{plain(task)} {verb} {_counted(read)}: {command}{f'; it also {writes}' if writes else ''}"


def _counted(files: Sequence[UndeclaredFile]) -> str:
    others = len(files) - 1
    more = f" and {others} more file{'' if others == 1 else 's'}" if others else ""
    changed = ", which changed since," if files[0].changed else ""
    return f"{plain(files[0].path)}{changed}{more} and does not declare {'them' if others else 'it'}"


def undeclared_lines(files: Sequence[UndeclaredFile]) -> Iterator[str]:
    """Yield a line for each access."""
    for file in files:
        changed = " (changed since)" if file.changed else ""
        yield f"    {'read ' if file.mode == 'read' else 'wrote'}  {plain(file.path)}{changed}"


def quoted(word: str) -> str:
    """Quote the name of a task for a shell, where it needs it."""
    from shlex import quote  # noqa: PLC0415 - most builds have nothing to remind of

    return quote(word)
