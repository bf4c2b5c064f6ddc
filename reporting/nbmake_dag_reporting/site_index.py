"""The index of a site: the list of its shards, and what the first page shows before any of them is loaded.

Runs are numbered in the order of their arrival, and every `SIZE` of them are a shard. So neither the first page
nor the work for one run more grows with the years.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.site_chunks import SiteFiles
from nbmake_dag_reporting.site_shard import NO_EXTREMES, Extremes, Shard

SIZE = 2_000
RECENT = 1_000
"""The fewest runs that pages load without being asked, unless there are less."""
EXCERPT = 50
"""Rows that come with the index."""

Column: TypeAlias = tuple[str, str, str]
"""Kind, task and name."""


class _Head(msgspec.Struct, rename={"from_": "from"}):
    """A shard as the index is written: the least and greatest of its runs and their starts."""

    first: str
    last: str
    from_: int
    to: int
    runs: int
    version: str


class _Settings(msgspec.Struct):
    judgements: int


class _Stored(msgspec.Struct):
    """Of the index, what this program reads again."""

    shards: list[_Head]
    settings: _Settings


class SiteIndex:
    """What all pages share."""

    def __init__(self, files: SiteFiles, *, must: bool = False) -> None:
        """Read the index of a site, which must be there if runs of it are known; raises `DamagedChunkError`."""
        self._files = files
        stored = files.read_chunk("index", _Stored, must=must)
        self._heads: list[dict[str, Any]] = msgspec.to_builtins(stored.shards) if stored else []
        self.judgements: int = stored.settings.judgements if stored else 0
        """The verdicts and blames of the site."""
        self._shards: dict[int, Shard] = {}
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return sum(head["runs"] for head in self._heads)

    def add(self, run: Run, row: Mapping[str, Any], extremes: Mapping[str, Extremes] = NO_EXTREMES) -> None:
        """Take in a run, or replace what is known of it; ``extremes`` are of the series of its tasks."""
        number = self._of(run.id)
        if number is None:
            full = not self._heads or self._heads[-1]["runs"] >= SIZE
            number = len(self._heads) - (not full)
        shard = self._shard(number)
        shard.add(run, row, extremes)
        names = [name for name in shard.rows["id"] if name]
        started = [at for at in shard.rows.get("started", ()) if at] or [0]
        head = {
            "first": min(names),
            "last": max(names),
            "from": min(started),
            "to": max(started),
            "runs": len(shard),
        }
        self._heads[number:] = [head, *self._heads[number + 1 :]]
        self._changed.add(number)

    def newest_first(self) -> list[str]:
        """Name all runs; this reads every shard."""
        rows = [
            (row.get("started") or 0, row["id"])
            for place in range(len(self._heads))
            for row in self._shard(place).all_rows()
        ]
        return [run_id for _, run_id in sorted(rows, reverse=True)]

    def recent(self) -> list[dict[str, Any]]:
        """Give what is known of the runs that pages load at first, each with its number."""
        return [
            {"number": first + place, **row}
            for first, shard in self._recent()
            for place, row in enumerate(shard.all_rows())
        ]

    def columns(self) -> dict[Column, dict[str, Any]]:
        """Give the columns of recent runs, each with where it is: shard, bundle and place therein."""
        found: dict[Column, dict[str, Any]] = {}
        for number in self._recent_places():
            shard = self._shard(number)
            for place, column in enumerate(shard.columns):
                of = column["kind"], column["task"], column["name"]
                before = found.get(of, {"at": []})
                found[of] = {**column, "at": [*before["at"], [number, *shard.at(place)]]}
        return found

    def values(self, column: Column) -> dict[int, Any]:
        """Read what recent runs have in a column, by their numbers."""
        return {
            first + place: value
            for first, shard in self._recent()
            for place, value in enumerate(shard.values(column))
        }

    def letters(self, task: str) -> dict[int, str]:
        """Return the letters of a task in recent runs, by their numbers."""
        return {
            first + place: letter
            for first, shard in self._recent()
            for place, letter in enumerate(shard.matrix.get(task, ""))
        }

    def drop_details(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            if (number := self._of(run_id)) is not None:
                self._shard(number).drop_details(run_id)
                self._changed.add(number)

    def write(self, settings: Mapping[str, Any]) -> str:
        """Write what changed; return a digest of the whole."""
        for number in sorted(self._changed):
            self._heads[number]["version"] = self._shard(number).write()
        self._changed.clear()
        shown = self.recent()[-EXCERPT:]
        names = [name for name in dict.fromkeys(name for row in shown for name in row) if name != "number"]
        index = {
            "shards": self._heads,
            "recent": self._recent_places().start,
            "rows": {name: [row.get(name) for row in shown] for name in names},
            "columns": list(self.columns().values()),
            "settings": settings,
        }
        return self._files.write_chunk("index", index, "the index")

    def _recent_places(self) -> range:
        runs, place = 0, len(self._heads)
        while place and runs < RECENT:
            place -= 1
            runs += self._heads[place]["runs"]
        return range(place, len(self._heads))

    def _recent(self) -> Iterator[tuple[int, Shard]]:
        places = self._recent_places()
        first = sum(head["runs"] for head in self._heads[: places.start])
        for place in places:
            yield first, self._shard(place)
            first += self._heads[place]["runs"]

    def _of(self, run_id: str) -> int | None:
        """Find the shard of a run, of which only those are read whose runs have such names."""
        for number in reversed(range(len(self._heads))):
            head = self._heads[number]
            if head["first"] <= run_id <= head["last"] and run_id in self._shard(number):
                return number
        return None

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            runs = self._heads[number]["runs"] if number < len(self._heads) else 0
            self._shards[number] = Shard(self._files, f"shard/{number}", runs)
        return self._shards[number]
