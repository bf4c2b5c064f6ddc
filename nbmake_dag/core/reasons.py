"""Why a task is stale: what differs between the ingredients of now and those of its last result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from nbmake_dag.core.model import Command, Function, Notebook, Task
from nbmake_dag_cache.key import Ingredient

_ORDER = (
    "cell",
    "function",
    "command",
    "code",
    "module",
    "parameter",
    "input",
    "read",
    "lockfile",
    "package",
    "kernel",
    "variable",
    "env",
    "secret",
    "output",
)
_KINDS = {"parameters cell": "notebook", "function": "function", "command": "command"}
"""Kinds of work by an ingredient that each alone has."""
_OF_WORK = {*_KINDS, "cell", "code", "kernel"}
_DIGESTED = {"cell", "code", "module", "input", "lockfile", "variable", "read"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One ingredient that is not what it was; ``None`` where it did not exist."""

    kind: str
    name: str
    before: str | None
    now: str | None


def changes(before: Iterable[Ingredient], now: Iterable[Ingredient]) -> tuple[Change, ...]:
    """Return what differs, the most telling kinds first."""
    old = {(item.kind, item.name): item.value for item in before}
    new = {(item.kind, item.name): item.value for item in now}
    differing = [
        Change(kind=kind, name=name, before=old.get((kind, name)), now=new.get((kind, name)))
        for kind, name in {**old, **new}
        if old.get((kind, name)) != new.get((kind, name))
    ]
    was, is_now = _kind_of_work(old), _kind_of_work(new)
    if was and is_now and was != is_now:
        rest = (change for change in differing if change.kind not in _OF_WORK)
        return (Change(kind="work", name="", before=was, now=is_now), *sorted(rest, key=_rank))
    return tuple(sorted(_shortened(differing, old, new), key=_rank))


def _kind_of_work(ingredients: Iterable[tuple[str, str]]) -> str | None:
    return next((_KINDS[kind] for kind, _ in ingredients if kind in _KINDS), None)


def describe(change: Change, task: Task, cells: Sequence[int]) -> str:
    """Say a change in one line; ``cells`` has the place in the file of each cell that counts, from 0."""
    if change.kind == "cell":
        number = int(change.name)
        place = cells[number - 1] + 1 if number <= len(cells) else number
        return f"code: {_source(task)}, cell {place}{_appeared(change)}"
    if change.kind == "work":
        return f"kind of work: {change.before} -> {change.now}"
    if change.kind == "read":
        other, of, which = msgspec.json.decode(change.name, type=tuple[str, str, str | None])
        what = f"{of}.{which}" if which else f"the names of {of}"
        return f"upstream value: {other} {what}".replace("  ", " ")
    if change.kind in {"function", "command"}:
        return f"{change.kind}: {change.now}"
    if change.kind == "output":
        return f"declared outputs: {change.name.partition(': ')[2]}{_appeared(change)}"
    name = change.name.partition(": ")[2] if change.kind in {"input", "folder"} else change.name
    head = f"{change.kind}: {name}" if name else change.kind
    if change.before is None or change.now is None:
        return f"{head}{_appeared(change)}"
    if change.kind in _DIGESTED:
        return f"{head} changed"
    return f"{head} {change.before} -> {change.now}"


def _appeared(change: Change) -> str:
    if change.before is None:
        return " added"
    return " removed" if change.now is None else ""


def _source(task: Task) -> str:
    match task.work:
        case Notebook(path=path):
            return path
        case Function(module=module, qualname=qualname):
            return f"{module}:{qualname}"
        case Command():
            return task.name


def _rank(change: Change) -> tuple[int, int, str]:
    position = _ORDER.index(change.kind) if change.kind in _ORDER else len(_ORDER)
    number = int(change.name) if change.kind == "cell" else 0
    return position, number, change.name


def _shortened(
    differing: Sequence[Change], old: dict[tuple[str, str], str], new: dict[tuple[str, str], str]
) -> Sequence[Change]:
    """Replace the changes of cells by those of an alignment: one cell inserted is one change, not all below it."""
    rest = [change for change in differing if change.kind != "cell"]
    if len(rest) == len(differing):
        return differing
    before = [
        value for _, value in sorted((int(name), value) for (kind, name), value in old.items() if kind == "cell")
    ]
    now = [
        value for _, value in sorted((int(name), value) for (kind, name), value in new.items() if kind == "cell")
    ]
    start = 0
    while start < min(len(before), len(now)) and before[start] == now[start]:
        start += 1
    end = 0
    while end < min(len(before), len(now)) - start and before[-1 - end] == now[-1 - end]:
        end += 1
    removed, added = before[start : len(before) - end], now[start : len(now) - end]
    cells = [
        Change(
            kind="cell",
            name=str(start + position + 1),
            before=removed[position] if position < len(removed) else None,
            now=added[position] if position < len(added) else None,
        )
        for position in range(max(len(removed), len(added)))
        if position >= min(len(removed), len(added)) or removed[position] != added[position]
    ]
    return [*cells, *rest]
