"""A shard of the index of a site: some thousand runs in the order of their arrival.

It has a row for each run, and columns that load when shown. A column is as long as its last value, so that a run
which has nothing in it does not touch it. Columns that came one after the other share a file, a bundle, so that
their number does not become a number of files: a bundle that grows above `LARGEST` is halved. The matrix has one
text for each task, with one letter for each run; its tasks are in the order of their pipelines.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias, TypedDict, cast

import msgspec

from nbmake_dag_reporting.numbers import spelled
from nbmake_dag_reporting.run import Run, TaskRun
from nbmake_dag_reporting.site_chunks import DamagedChunkError, SiteFiles, chunk_path
from nbmake_dag_reporting.site_tasks import TaskLedger, unsteady
from nbmake_dag_reporting.vocabulary import TaskStatus

LETTERS: dict[TaskStatus, str] = {
    "ran": "R",
    "restored": "r",
    "up_to_date": "u",
    "failed": "f",
    "skipped": "s",
    "cancelled": "c",
}
_ABSENT = " "
WIDTH = 1_024
"""The most columns of a bundle, a power of two."""
LARGEST = 32_000
"""Bytes of a bundle with more than one column: what a page loads for one of them."""

Extremes: TypeAlias = Mapping[str, tuple[float, float]]
"""Of the series of a task, the least and the greatest value, by metric."""
NO_EXTREMES: Mapping[str, Extremes] = {}


class _Known(TypedDict):
    """Of the rows, what this program reads again."""

    id: list[str]
    pipeline: list[str | None]
    started: list[int | None]
    result: list[str | None]
    branch: list[str | None]
    commit: list[str | None]
    seconds: list[float | None]
    detail: list[int | None]


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    """The rows of a shard as they are written; raises `ValueError` for what would be no shard."""

    rows: dict[str, list[Any]]
    columns: list[dict[str, str]]
    bundles: list[tuple[int, str]]

    def __post_init__(self) -> None:
        ids = msgspec.convert(self.rows, _Known)["id"] if self.rows else []
        firsts = [first for first, _ in self.bundles]
        if len(set(ids)) < len(ids):
            raise ValueError("a run is there twice")
        if not all(column.keys() >= {"kind", "task", "name"} for column in self.columns):
            raise ValueError("a column has no name")
        if firsts != sorted(set(firsts)) or (self.columns and firsts[:1] != [0]):
            raise ValueError("a column is nowhere")


class Shard:
    """Read from a site, extended in memory, written back."""

    def __init__(self, files: SiteFiles, key: str, runs: int = 0) -> None:
        """Read a shard that has this many runs, or more if a writer was killed; raises `DamagedChunkError`."""
        self._files = files
        self._key = key
        self._must = runs > 0
        stored = files.read_chunk(f"{key}/rows", _Stored, must=self._must) or _Stored({}, [], [])
        self.rows: dict[str, list[Any]] = stored.rows
        self.columns: list[dict[str, str]] = stored.columns
        self._number = {run_id: number for number, run_id in enumerate(self.rows.get("id", []))}
        if len(self._number) < runs:
            raise DamagedChunkError(chunk_path(f"{key}/rows"))
        self._place = {(of["kind"], of["task"], of["name"]): place for place, of in enumerate(self.columns)}
        self._digests: dict[int, str] = dict(stored.bundles)
        self._firsts = sorted(self._digests)
        """The first columns of all bundles."""
        count = len(self.columns)
        self._widths = {
            first: max(0, min(after, count) - first) for first, after in pairwise([*self._firsts, count])
        }
        """The columns that each bundle had when the rows were written."""
        self._runs = len(self._number)
        """Likewise of runs."""
        self._bundles: dict[int, list[list[Any]]] = {}
        """Those that were touched, by their first columns."""

    @cached_property
    def matrix(self) -> dict[str, str]:
        return dict(self._files.read_chunk(f"{self._key}/matrix", list[tuple[str, str]], must=self._must) or ())

    @cached_property
    def _ledgers(self) -> dict[str, TaskLedger]:
        ledgers = self._files.read_chunk(f"{self._key}/tasks", dict[str, TaskLedger], must=self._must)
        return cast("dict[str, TaskLedger]", ledgers or {})

    def __len__(self) -> int:
        return len(self._number)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._number

    def add(self, run: Run, row: Mapping[str, Any], extremes: Mapping[str, Extremes]) -> None:
        """Take in a run, or replace what is known of it."""
        tasks = [
            (task, LETTERS[task.status], list(_values(task, extremes.get(task.name, {}))))
            for task in run.tasks.values()
        ]
        # what a damaged run raises, it has raised above: below, its row is written whole
        number = self._number.setdefault(run.id, len(self._number))
        for name, value in row.items():
            _set(self.rows.setdefault(name, []), number, value)
        self._order(run)
        for task, letter, values in tasks:
            letters = self.matrix[task.name].ljust(number + 1, _ABSENT)
            self.matrix[task.name] = letters[:number] + letter + letters[number + 1 :]
            for kind, name, value in values:
                self._set(kind, task, name, number, value)
            self._ledgers.setdefault(task.name, TaskLedger()).add(task, number, len(self))

    def row(self, number: int) -> dict[str, Any]:
        """Give what is known of a run; a column may end before it."""
        return {name: list_[number] if number < len(list_) else None for name, list_ in self.rows.items()}

    def all_rows(self) -> list[dict[str, Any]]:
        return [self.row(number) for number in range(len(self))]

    def at(self, place: int) -> tuple[int, int]:
        """Tell where a column is: the first column of its bundle, and its place therein."""
        first = self._firsts[bisect_right(self._firsts, place) - 1]
        return first, place - first

    def values(self, column: tuple[str, str, str]) -> list[Any]:
        """Read a column, given by kind, task and name; its end may be missing."""
        if column not in self._place:
            return []
        first, row = self.at(self._place[column])
        bundle = self._bundles[first] if first in self._bundles else self._read(first)
        return bundle[row] if row < len(bundle) else []

    def drop_details(self, run_id: str) -> None:
        _set(self.rows.setdefault("detail", []), self._number[run_id], 0)

    def write(self) -> str:
        """Write what changed; return a digest of the whole."""
        for first, width in self._widths.items():
            if width and first not in self._bundles and not self._files.has_chunk(self._path(first)):
                self._bundle(first)
        self._halve()
        # the second half first: a writer that is killed has not lost it then
        for first, bundle in sorted(self._bundles.items(), reverse=True):
            self._digests[first] = self._files.write_chunk(self._path(first), bundle, "columns of the index")
            for column, values in zip(self.columns[first:], bundle, strict=False):
                if column["kind"] == "result":
                    self._ledgers.setdefault(column["task"], TaskLedger()).unsteady = unsteady(values)
        ledgers = {name: ledger.document() for name, ledger in self._ledgers.items()}
        parts = {
            "rows": {"rows": self.rows, "columns": self.columns, "bundles": sorted(self._digests.items())},
            "matrix": list(self.matrix.items()),
            "tasks": ledgers,
        }
        return "".join(self._files.write_chunk(f"{self._key}/{name}", part, name) for name, part in parts.items())

    def _path(self, first: int) -> str:
        return f"{self._key}/c{first}"

    def _read(self, first: int) -> list[list[Any]]:
        """Read a bundle as the rows know it: a writer that was killed before them may have changed its width."""
        bundle: list[list[Any]] = []
        width = self._widths.get(first, 0)
        while len(bundle) < width and (more := self._stored(first + len(bundle))):
            bundle += more
        lost = width - len(bundle)
        return [values[: self._runs] for values in bundle[:width]] + [[] for _ in range(lost)]

    def _stored(self, first: int) -> list[list[Any]]:
        """Read the file of a bundle; one that is damaged or gone costs its values, not the runs that come."""
        key = self._path(first)
        try:
            return cast("list[list[Any]]", self._files.read_chunk(key, list[list[Any]], must=True))
        except DamagedChunkError:
            self._files.damaged.append(key)
            return []

    def _bundle(self, first: int) -> list[list[Any]]:
        if first not in self._bundles:
            self._bundles[first] = self._read(first)
        return self._bundles[first]

    def _halve(self) -> None:
        """Halve what became too large, at powers of two: so reports one by one and one of all halve alike."""
        waiting = list(self._bundles)
        while waiting:
            first = waiting.pop()
            end = first - first % WIDTH + WIDTH
            width = min([end, *(other for other in self._firsts if first < other)]) - first
            if width > 1 and len(msgspec.json.encode(self._bundles[first])) > LARGEST:
                half = first + width // 2
                insort(self._firsts, half)
                self._digests[half] = ""
                self._bundles[half] = self._bundles[first][width // 2 :]
                del self._bundles[first][width // 2 :]
                waiting += [first, half]

    def _order(self, run: Run) -> None:
        """Give a new task its place after the one before it in the pipeline."""
        if all(name in self.matrix for name in run.tasks):
            return
        names = list(self.matrix)
        place = 0
        for name in run.tasks:
            if name in self.matrix:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                place += 1
        self.matrix = {name: self.matrix.get(name, "") for name in names}

    def _set(self, kind: str, task: TaskRun, name: str, number: int, value: Any) -> None:
        place = self._place.setdefault((kind, task.name, name), len(self.columns))
        if place == len(self.columns):
            column = {"kind": kind, "task": task.name, "name": name}
            if kind == "metrics" and name not in task.metrics:
                column["series"] = name.rpartition(".")[0]
            if task.family != task.name:
                column["family"] = task.family
            self.columns.append(column)
            if place % WIDTH == 0:
                self._firsts.append(place)
        first, row = self.at(place)
        bundle = self._bundle(first)
        bundle.extend([] for _ in range(row + 1 - len(bundle)))
        _set(bundle[row], number, value)


def _values(task: TaskRun, extremes: Extremes) -> Iterable[tuple[str, str, Any]]:
    for name, parameter in task.params.items():
        yield "params", name, spelled(parameter)
    for name, metric in task.metrics.items():
        yield "metrics", name, spelled(metric)
    for name, (least, most) in extremes.items():
        for end, value in (("min", least), ("max", most)):
            if (named := f"{name}.{end}") not in task.metrics:
                yield "metrics", named, value
    for name, tag in task.tags.items():
        yield "tags", name, tag
    if task.attempts and task.started is not None and task.ended is not None:
        yield "duration", "", round((task.ended - task.started) / 1e9, 3)
    if task.status == "ran" and task.key and task.outputs:
        outputs = hashlib.sha256(repr(sorted(task.outputs.items())).encode(errors="surrogatepass"))
        yield "result", "", f"{task.key[:16]} {outputs.hexdigest()[:16]}"


def _set(values: list[Any], number: int, value: Any) -> None:
    values.extend([None] * (number + 1 - len(values)))
    values[number] = value
