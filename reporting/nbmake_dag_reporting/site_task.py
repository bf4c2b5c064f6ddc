"""One task of one run on the site.

What a record decides (outputs, artefacts, notebook, ingredients) is content that all its hits share; times,
reasons and attempts are of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from nbmake_dag_reporting.bundle import Recorded, ingredients_of
from nbmake_dag_reporting.data_preview import LARGEST, files_of, is_data, preview
from nbmake_dag_reporting.notebook_view import long_text, notebook_view, shown_file
from nbmake_dag_reporting.numbers import spelled
from nbmake_dag_reporting.prose_pictures import Committed
from nbmake_dag_reporting.run import Artifact, AttemptRun, Failure, TaskRun
from nbmake_dag_reporting.scrub import Scrub, scrub_value
from nbmake_dag_reporting.site_chunks import SiteFiles
from nbmake_dag_reporting.site_shard import Extremes

Executed: TypeAlias = Callable[[Recorded, TaskRun], Mapping[int, Mapping[str, Any]]]
"""Gives a task's executed notebooks by attempt, that of a hit as 0; raises `ValueError` for what does not fit."""

_TEXTS = (
    "text/",
    "application/json",
    "application/xml",
    "application/yaml",
    "image/svg+xml",
    "application/javascript",
)
_LARGEST_TEXT = 2 << 20
_LARGEST_PAGE = 20 << 20
"""Bytes of a page that holds its own scripts."""
_LARGEST_FILE = 50 << 20


class TaskPublisher(msgspec.Struct, frozen=True, kw_only=True):
    """Publishes the tasks of one run."""

    files: SiteFiles
    recorded: Recorded
    executed: Executed
    scrub: Scrub
    publish_host: bool
    previews: bool
    """Whether declared outputs are looked into."""
    committed: Committed | None
    """Gives the pictures that prose shows."""
    nodes: Mapping[str, str]
    """The names of a cluster's nodes on the site."""
    extremes: dict[str, Extremes] = {}
    """Of what was published so far, the least and the greatest value of each series, by task."""

    def publish(self, task: TaskRun, numbers: Mapping[str, int], run_id: str) -> dict[str, Any]:
        """Return the row of a task for the chunk of its run; ``numbers`` are the tasks' places in it."""
        place = f"run {run_id}, {task.name}"
        notebooks = self._notebooks(task)
        row = {
            "name": task.name,
            "family": task.family,
            "status": task.status,
            "type": task.type,
            "reasons": [self.scrub(reason) for reason in task.reasons],
            "key": task.key,
            "start": _milliseconds(task.started),
            "end": _milliseconds(task.ended),
            "up": [numbers[name] for name in task.upstreams if name in numbers],
            "span": task.span_id,
            "source": task.source.run_id if task.source else None,
            "saved": task.saved_s,
            "draft": task.draft,
            "accepted": task.accepted,
            "params": spelled(scrub_value(dict(task.params), self.scrub)),
            "metrics": spelled(task.metrics),
            "tags": scrub_value(dict(task.tags), self.scrub),
            "detail": self.files.put(self._detail(task, notebooks, place), place),
            "attempts": [self._attempt(task, attempt, notebooks, place) for attempt in task.attempts],
        }
        return {name: value for name, value in row.items() if value not in (None, False, [], {}, 0.0, "")}

    def _notebooks(self, task: TaskRun) -> Mapping[int, Mapping[str, Any]]:
        try:
            return self.executed(self.recorded, task)
        except (ValueError, RecursionError):  # no notebook, or outputs of another source
            return {}

    def _detail(self, task: TaskRun, notebooks: Mapping[int, Mapping[str, Any]], place: str) -> dict[str, Any]:
        record = self.recorded.record(task.record.own_key, task.record.key) if task.record else None
        detail = {
            "path": task.path,
            "outputs": [{"path": path, "digest": digest} for path, digest in task.outputs.items()],
            "data": list(self._data(record, place)) if record and self.previews else [],
            "artifacts": [
                self._artifact(name, artifact, f"{place}, artefact {name}")
                for name, artifact in task.artifacts.items()
            ],
            "scripts": dict(self._scripts(task, place)),
            "reads": list(task.undeclared_reads),
            "writes": list(task.undeclared_writes),
            "series": self._series(task, place),
            "notebook": self._notebook(task, max(notebooks, default=0), notebooks, place),
            "ingredients": self.files.put(self._ingredients(record), place) if record else None,
        }
        return {name: value for name, value in detail.items() if value not in (None, [], {})}

    def _scripts(self, task: TaskRun, place: str) -> Iterator[tuple[str, str]]:
        """Publish the libraries that draw its figures: each kind with its content."""
        known = self.files.scripts
        for name, script in task.scripts.items():
            if script.sha256 not in known and (data := self.recorded.blob(script.sha256)) is not None:
                known[script.sha256] = self.files.put(data.decode(errors="replace"), place)
            if script.sha256 in known:
                self.files.keep(known[script.sha256])
                yield name.removeprefix("figures/").split(" ")[0], known[script.sha256]

    def _ingredients(self, record: Mapping[str, Any]) -> list[list[str]]:
        return [
            [item.kind, self.scrub(item.name), self.scrub(item.value), self.scrub(item.path)]
            for item in ingredients_of(record)
        ]

    def _notebook(
        self, task: TaskRun, number: int, notebooks: Mapping[int, Mapping[str, Any]], place: str
    ) -> str | None:
        """Publish the notebook that an attempt left, or that of a hit as attempt 0."""
        if number not in notebooks:
            return None
        attempts = (attempt for attempt in task.attempts if attempt.number == number)
        failed = {cell.cell.index for attempt in attempts for cell in attempt.cells if cell.error}
        view = notebook_view(
            notebooks[number],
            self.files,
            self.scrub,
            place,
            failed,
            os.path.dirname(task.path or ""),
            self.committed,
        )
        return self.files.put(view, place)

    def _series(self, task: TaskRun, place: str) -> str | None:
        data = self.recorded.blob(task.series) if task.series else None
        if data is None:
            return None
        try:
            series = msgspec.json.decode(data, type=dict[str, list[tuple[Any, int | float | str | None, Any]]])
        except (ValueError, RecursionError):
            return None
        points = {name: [[step, value] for step, value, _ in points] for name, points in series.items()}
        self.extremes[task.name] = {
            name: (min(finite), max(finite))
            for name, pairs in points.items()
            if (finite := [value for _, value in pairs if isinstance(value, int | float)])
        }
        return self.files.put(points, place)

    def _artifact(self, name: str, artifact: Artifact, place: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"name": name, "size": artifact.size, "type": artifact.media_type}
        data = self.recorded.blob(artifact.sha256) if artifact.size <= _LARGEST_FILE else None
        if data is None:
            return {**shown, "digest": artifact.sha256}
        if is_data(name) and (found := self._preview(data, name, artifact.sha256, place)):
            shown["preview"] = found
        if path := shown_file(data, artifact.media_type, artifact.sha256, self.files, place):
            return {**shown, "file": path}
        most = _LARGEST_PAGE if artifact.media_type == "text/html" else _LARGEST_TEXT
        if artifact.size <= most and _is_text(artifact.media_type):
            try:
                return {**shown, "text": self.files.put(data.decode(), place)}
            except UnicodeDecodeError:
                pass
        return {**shown, "file": self.files.put_bytes(data, artifact.sha256, "bin", place)}

    def _data(self, record: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
        """Look into the declared outputs that hold data."""
        for path, sha256, size in files_of(record):
            if not is_data(path) or size > LARGEST or (data := self.recorded.blob(sha256)) is None:
                continue
            if found := self._preview(data, path, sha256, f"{place}, output {path}"):
                yield {"name": path, "size": size, "type": "", "digest": sha256, "preview": found}

    def _preview(self, data: bytes, name: str, sha256: str, place: str) -> str | None:
        known, key = self.files.previews, sha256 + os.path.splitext(name)[1]
        if key not in known:
            found = preview(data, name)
            known[key] = None if found is None else scrub_value(found, self.scrub)
        return None if (shown := known[key]) is None else self.files.put(shown, place)

    def _error(self, failure: Failure) -> dict[str, Any]:
        return {
            "type": failure.type,
            "message": self.scrub(failure.message),
            "cell": failure.cell.index if failure.cell else None,
        }

    def _attempt(
        self, task: TaskRun, attempt: AttemptRun, notebooks: Mapping[int, Mapping[str, Any]], place: str
    ) -> dict[str, Any]:
        place = f"{place}, attempt {attempt.number}"
        failure = attempt.failure
        log = self.recorded.blob(attempt.log) if attempt.log else None
        more = {
            "cells": [
                [cell.cell.index, _milliseconds(cell.started), _milliseconds(cell.ended), cell.error or ""]
                for cell in attempt.cells
            ],
            "log": long_text(self.scrub(log.decode(errors="replace")), self.files, place) if log else None,
            "trace": self.scrub(failure.traceback) if failure else None,
            "code": failure.cell_source if failure else None,
            "notebook": self._notebook(task, attempt.number, notebooks, place) if failure else None,
        }
        row = {
            "n": attempt.number,
            "outcome": attempt.outcome,
            "start": _milliseconds(attempt.started),
            "end": _milliseconds(attempt.ended),
            "cpu": attempt.cpu_s,
            "rss": attempt.peak_rss,
            "wait": attempt.wait_s,
            "pool": attempt.pool,
            "poolWait": attempt.pool_wait_s,
            "exit": attempt.exit_code,
            "error": self._error(failure) if failure else None,
            "more": self.files.put({name: value for name, value in more.items() if value}, place),
        }
        if self.publish_host:
            row["host"] = attempt.host
        if attempt.node:
            row["node"] = self.nodes[attempt.node]
        return {name: value for name, value in row.items() if value is not None}


def _is_text(media_type: str) -> bool:
    return media_type.startswith(_TEXTS) or media_type.endswith(("+json", "+xml"))


def _milliseconds(nanoseconds: int | None) -> int | None:
    return None if nanoseconds is None else nanoseconds // 1_000_000
