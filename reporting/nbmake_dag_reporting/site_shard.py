"""A shard of the index of a site: some thousand runs in the order of their arrival.

It has a row for each run, and columns that load when shown. A column is as long as its last value, so that a run
which has nothing in it does not touch it. The matrix has one text for each task, with one letter for each run; its
tasks are in the order of their pipelines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from nbmake_dag_reporting.numbers import spelled
from nbmake_dag_reporting.run import Run, TaskRun
from nbmake_dag_reporting.site_chunks import SiteFiles
from nbmake_dag_reporting.site_tasks import TaskLedger, ledger_of, unsteady
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

Extremes: TypeAlias = Mapping[str, tuple[float, float]]
"""Of the series of a task, the least and the greatest value, by metric."""
NO_EXTREMES: Mapping[str, Extremes] = {}


class Shard:
    """Read from a site, extended in memory, written back."""

    def __init__(self, files: SiteFiles, key: str) -> None:
        self._files = files
        self._key = key
        stored = files.read_chunk(f"{key}/rows") or {}
        self.rows: dict[str, list[Any]] = stored.get("rows", {})
        self.columns: list[dict[str, Any]] = stored.get("columns", [])
        self._number = {run_id: number for number, run_id in enumerate(self.rows.get("id", []))}
        self._place = {(column["kind"], column["task"], column["name"]): column for column in self.columns}
        self._values: dict[str, list[Any]] = {}

    @cached_property
    def matrix(self) -> dict[str, str]:
        return dict(self._files.read_chunk(f"{self._key}/matrix") or ())

    @cached_property
    def _ledgers(self) -> dict[str, TaskLedger]:
        ledgers = self._files.read_chunk(f"{self._key}/tasks") or {}
        return {name: ledger_of(known) for name, known in ledgers.items()}

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

    def values(self, column: tuple[str, str, str]) -> list[Any]:
        """Read a column, given by kind, task and name; its end may be missing."""
        if column not in self._place:
            return []
        file = self._place[column]["file"]
        return self._values[file] if file in self._values else self._files.read_chunk(self._path(file)) or []

    def drop_details(self, run_id: str) -> None:
        _set(self.rows.setdefault("detail", []), self._number[run_id], 0)

    def write(self) -> str:
        """Write what changed; return a digest of the whole."""
        for column in self.columns:
            if column["file"] in self._values:
                values = self._values[column["file"]]
                path = self._path(column["file"])
                column["version"] = self._files.write_chunk(path, values, f"column {column['name']}")
                column["count"] = sum(value is not None for value in values)
                if column["kind"] == "result":
                    self._ledgers[column["task"]].unsteady = unsteady(values)
        ledgers = {name: ledger.document() for name, ledger in self._ledgers.items()}
        parts = {
            "rows": {"rows": self.rows, "columns": self.columns},
            "matrix": list(self.matrix.items()),
            "tasks": ledgers,
        }
        return "".join(self._files.write_chunk(f"{self._key}/{name}", part, name) for name, part in parts.items())

    def _path(self, file: str) -> str:
        return f"{self._key}/{file}"

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
        column = self._place.get((kind, task.name, name))
        if column is None:
            digest = hashlib.sha256(f"{kind}\0{task.name}\0{name}".encode(errors="surrogatepass")).hexdigest()
            column = {"kind": kind, "task": task.name, "name": name, "file": digest[:16]}
            if kind == "metrics" and name not in task.metrics:
                column["series"] = name.rpartition(".")[0]
            if task.family != task.name:
                column["family"] = task.family
            self._place[kind, task.name, name] = column
            self.columns.append(column)
        file = column["file"]
        if file not in self._values:
            self._values[file] = self._files.read_chunk(self._path(file)) or []
        _set(self._values[file], number, value)


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
