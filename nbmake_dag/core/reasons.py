"""The reasons why a task is stale: differences between its current ingredients and those of its last result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.model import Command, Function, Notebook, Task
from nbmake_dag_cache.key import Ingredient, Stage, Which
from nbmake_dag_reporting.cell_ref import CellRef, cell_of, order_of

_ORDER = (
    "cell",
    "function",
    "command",
    "code",
    "module",
    "parameter",
    "input",
    "gathered",
    "read",
    "lockfile",
    "package",
    "locked",
    "kernel",
    "variable",
    "env",
    "secret",
    "output",
    "named",
    "origin",
)
_ORIGINS = {
    ("own", "upstream"): "is made by a task now, and was a file",
    ("upstream", "own"): "is a file now, and was made by a task",
}
_KINDS = {"parameters cell": "notebook", "function": "function", "command": "command"}
"""Kinds of work by an ingredient that each alone has."""
_OF_WORK = {*_KINDS, "cell", "code", "kernel"}
_DIGESTED = {"cell", "code", "module", "input", "gathered", "lockfile", "variable", "read"}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One ingredient that is not what it was; ``None`` where it did not exist."""

    kind: str
    name: str
    path: str = ""
    before: str | None
    now: str | None

    @property
    def which(self) -> Which:
        return self.kind, self.name, self.path


def changes(
    before: Iterable[Ingredient], now: Iterable[Ingredient], *, is_made: Callable[[str], bool] = lambda _: False
) -> tuple[Change, ...]:
    """Return what differs, the most telling kinds first.

    ``is_made``: whether a task above makes a path, while its digest is not known yet.
    """
    then, there = {item.which: item for item in before}, {item.which: item for item in now}
    old, new = ({which: item.value for which, item in items.items()} for items in (then, there))
    differing = [
        _origin(which, then[which].stage, "upstream")
        if which[0] == "input" and which not in new and is_made(which[2])
        else Change(kind=which[0], name=which[1], path=which[2], before=old.get(which), now=new.get(which))
        for which in {**old, **new}
        if old.get(which) != new.get(which)
    ]
    differing += [
        _origin(which, item.stage, there[which].stage)
        for which, item in then.items()
        if which in there and item.value == there[which].value and item.stage != there[which].stage
    ]
    was, is_now = _kind_of_work(old), _kind_of_work(new)
    if was and is_now and was != is_now:
        rest = (change for change in differing if change.kind not in _OF_WORK)
        return (Change(kind="work", name="", before=was, now=is_now), *sorted(rest, key=_rank))
    return tuple(sorted(_shortened(differing, old, new), key=_rank))


def own_changes(
    before: Iterable[Ingredient], own: Iterable[Ingredient], is_made: Callable[[str], bool]
) -> tuple[Change, ...]:
    """Return what differs of a task's own ingredients, before anybody knows what the tasks above make."""
    now = tuple(own)
    known = {item.which for item in now}
    then = (item for item in before if item.stage == "own" or item.which in known)
    return changes(then, now, is_made=is_made)


def _origin(which: Which, before: Stage, now: Stage) -> Change:
    """Return the change of an ingredient that is what it was, and is known from elsewhere."""
    kind, name, path = which
    return Change(kind="origin", name=f"{kind}: {path or name}", before=before, now=now)


def _kind_of_work(ingredients: Iterable[Which]) -> str | None:
    return next((_KINDS[kind] for kind, *_ in ingredients if kind in _KINDS), None)


def describe(change: Change, task: Task, cells: Sequence[CellRef]) -> str:
    """Describe a change in one line; ``cells`` are those that count."""
    if change.kind == "cell":
        cell = cell_of(change.name, cells) or f"cell {change.name}"
        return f"code: {_source(task)}, {cell}{_appeared(change)}"
    if change.kind == "work":
        return f"kind of work: {change.before} -> {change.now}"
    if change.kind == "read":
        other, of, which = msgspec.json.decode(change.name, type=tuple[str, str, str | None])
        what = f"{of}.{which}" if which else f"the names of {of}"
        return f"upstream value: {other} {what}".replace("  ", " ")
    if change.kind in {"function", "command"}:
        return f"{change.kind}: {change.now}"
    if change.kind == "origin":
        return (
            f"{change.name} {_ORIGINS.get((change.before or '', change.now or ''), 'is known in another way now')}"
        )
    if change.kind == "named":
        return f"declared {change.name}: {'a list' if change.now is None else 'by name'} now"
    if change.kind == "output":
        return f"declared outputs: {change.path}{_appeared(change)}"
    if change.kind == "locked":
        return _relocked(change)
    name = change.path or change.name
    return _difference(change, f"{change.kind}: {name}" if name else change.kind)


def _difference(change: Change, head: str) -> str:
    if change.before is None or change.now is None:
        return f"{head}{_appeared(change)}"
    if change.kind == "input" and change.now == ABSENT and "://" in change.path:
        return f"{head} is not fetched yet"
    if change.kind == "input" and ABSENT in {change.before, change.now}:
        return f"{head} {'removed' if change.now == ABSENT else 'added'}"
    if change.kind in _DIGESTED:
        return f"{head} changed"
    return f"{head} {change.before} -> {change.now}"


def _relocked(change: Change) -> str:
    """Describe the change of a package in a lock file by its version; the hash says nothing to a person."""
    head = f"locked package: {change.name}"
    if change.before is None or change.now is None:
        return f"{head}{_appeared(change)}"
    before, now = (value.partition(" ")[0] for value in (change.before, change.now))
    return f"{head} {before} -> {now}" if before != now else f"{head} {now}: another file"


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


def _rank(change: Change) -> tuple[int, int, str, str]:
    position = _ORDER.index(change.kind) if change.kind in _ORDER else len(_ORDER)
    number = order_of(change.name) if change.kind == "cell" else 0
    return position, number, change.name, change.path


def _cells(ingredients: Mapping[Which, str]) -> list[str]:
    """Return the digests of the cells that count, in their order."""
    cells = {order_of(name): value for (kind, name, _), value in ingredients.items() if kind == "cell"}
    return [cells[order] for order in sorted(cells)]


def _shortened(
    differing: Sequence[Change], old: Mapping[Which, str], new: Mapping[Which, str]
) -> Sequence[Change]:
    """Replace the changes of cells by those of an alignment: one cell inserted is one change, not all below it."""
    rest = [change for change in differing if change.kind != "cell"]
    if len(rest) == len(differing):
        return differing
    before, now = _cells(old), _cells(new)
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
