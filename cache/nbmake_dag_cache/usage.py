"""What takes the room of a cache folder, by task and by run; each byte counts once in each of the two."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nbmake_dag_cache.inventory import Held, Inventory, taken
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.records import readable


class Room(msgspec.Struct):
    """How many records there are, and what they and their blobs take, in bytes."""

    records: int = 0
    size: int = 0


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The records and blobs that a run shows; names that the cache does not have may be among them."""

    run: str
    keys: frozenset[Key]
    blobs: frozenset[str]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The room by task, by run, and what no run shows."""

    tasks: dict[str, Room] = {}
    runs: dict[str, Room] = {}
    rest: Room


def usage(root: str, runs: Iterable[Shown]) -> Usage:
    """Read all records, and say what takes the room.

    A blob that several records need counts for the one used last, what several runs show for the first of `runs`.
    """
    with taken(root, readable(root)) as inventory:
        tasks: dict[str, Room] = {}
        for record in inventory.records():
            _take(inventory, record, tasks.setdefault(record.task, Room()))
        inventory.unmark()
        by_run: dict[str, Room] = {}
        for shown in runs:
            room = by_run[shown.run] = Room()
            for record in inventory.with_keys(shown.keys):
                _take(inventory, record, room)
            room.size += inventory.unmarked_size(shown.blobs)
            inventory.mark_blobs(shown.blobs)
        rest = Room()
        for record in inventory.unmarked():
            _take(inventory, record, rest)
        rest.size += inventory.size_of_unmarked()
        return Usage(tasks=tasks, runs=by_run, rest=rest)


def _take(inventory: Inventory, record: Held, room: Room) -> None:
    room.records += 1
    room.size += record.size + inventory.unmarked_size(record.blobs)
    inventory.mark_blobs(record.blobs)
    inventory.mark(record)
