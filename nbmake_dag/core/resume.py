"""Choose the snapshot to resume a notebook from: the last one before the first cell that differs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.key import Ingredient, Which

INJECTED = Digest("injected")
"""Stands for the cell of injected parameters, whose text follows from ingredients and from ``given``."""


ANY = "*"
"""Among opened files: nobody knows which, as a child process was started."""


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what the cells of a notebook do.

    ``cells`` are those that count, in their order, the injected one among them. ``given`` are the injected values
    other than parameters.
    """

    cells: tuple[Digest, ...]
    others: Mapping[Which, str]
    given: str = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot in ``folder``, and what it depends on.

    ``used`` are modules that were not known before, and values read from tasks above, with their digests.
    ``modules`` are all that were loaded so far. ``opened`` are files that were opened or inspected so far; with a
    slash, folders that were listed. ``later`` are files that are known to have been opened first after it was
    taken.
    """

    folder: str
    pid: int
    basis: Basis
    cells: int
    elapsed_s: float
    used: Mapping[tuple[str, str], str] = {}
    modules: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()

    @property
    def executed(self) -> tuple[Digest, ...]:
        return self.basis.cells[: self.cells]


def basis(ingredients: Iterable[Ingredient], *, injects: bool, given: str = "") -> Basis:
    """Take the ingredients of a notebook apart; ``injects``: a cell of parameters is added."""
    cells: list[Digest] = []
    others: dict[Which, str] = {}
    place = 0
    for item in ingredients:
        if item.kind == "cell":
            cells.append(Digest(item.value))
        elif item.kind == "parameters cell":
            place = int(item.value)
        else:
            others[item.which] = item.value
    if injects:
        cells.insert(place, INJECTED)
    return Basis(cells=tuple(cells), others=others, given=given)


def choose(snapshots: Collection[Taken], now: Basis, present: Mapping[tuple[str, str], str]) -> Taken | None:
    """Return the snapshot with the most cells that may be gone on from.

    ``present`` has the digests of now of all that any of them names as ``used``.
    """
    usable = [taken for taken in snapshots if fits(taken, now, present)]
    return max(usable, key=lambda taken: taken.cells, default=None)


def fits(taken: Taken, now: Basis, present: Mapping[tuple[str, str], str]) -> bool:
    """Return whether all that a snapshot depends on is unchanged."""
    return (
        now.cells[: taken.cells] == taken.executed
        and (now.given == taken.basis.given or INJECTED not in taken.executed)
        and all(present.get(name) == digest for name, digest in taken.used.items())
        and all(_is_irrelevant(taken, *which) for which in _differing(taken.basis.others, now.others))
    )


def _differing(before: Mapping[Which, str], now: Mapping[Which, str]) -> list[Which]:
    return [which for which in {**before, **now} if before.get(which) != now.get(which)]


def _is_irrelevant(taken: Taken, kind: str, name: str, path: str) -> bool:
    """Return whether an ingredient played no part before the snapshot was taken, for certain."""
    if kind == "module":
        return name not in taken.modules
    if kind == "input":
        folder = f"{path.rpartition('/')[0] or '.'}/"
        return path in taken.later and not taken.opened.intersection({path, folder, ANY})
    return False
