"""Makes run records without running anything: spans as a build writes them, records and blobs in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.names import escape
from nbmake_dag_reporting.otlp import TRACE, encode_line
from nbmake_dag_reporting.run import TaskRun
from nbmake_dag_reporting.spans import Link, Resource, Span, SpanEvent

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Made:
    """A task of a run. ``seconds`` is ``None`` for a hit; ``source`` is the run that produced it."""

    name: str
    status: str = "ran"
    family: str = ""
    above: tuple[str, ...] = ()
    seconds: float | None = 1.0
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    notebook: Mapping[str, Any] | None = None
    artifacts: Mapping[str, tuple[bytes, str]] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Digests by path."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Outputs with their content, which the record names."""
    series: Mapping[str, list[list[Any]]] | None = None
    ingredients: tuple[tuple[str, str, str], ...] = ()
    undeclared: tuple[str, ...] = ()
    """Files that it read."""
    error: tuple[str, str, str] | None = None
    """Type, message, traceback."""
    source: str = ""
    key: str = ""
    node: str = ""
    """Of a cluster."""
    attempts: int = 1
    """All but the last failed."""
    saved: float = 1.0
    """Seconds that a hit saved."""


def notebook(*cells: Mapping[str, Any]) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def code(source: str, *outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": list(outputs), "execution_count": 1}


def markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def shown(**data: Any) -> dict[str, Any]:
    """Make a displayed output; ``text_html`` stands for ``text/html``."""
    types = {name.replace("_", "/", 1).replace("svg", "svg+xml"): value for name, value in data.items()}
    return {"output_type": "display_data", "metadata": {}, "data": types}


class Fabric:
    """A folder of runs, with the records and blobs that they name."""

    def __init__(self, root: Path) -> None:
        self.runs = root / "runs"
        self.blobs: dict[str, bytes] = {}
        self.records: dict[tuple[str, str], dict[str, Any]] = {}

    def record(self, own_key: str, key: str) -> Mapping[str, Any] | None:
        return self.records.get((own_key, key))

    def blob(self, sha256: str) -> bytes | None:
        return self.blobs.get(sha256)

    def put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        self.blobs[name] = data
        return name

    def run(
        self,
        number: int,
        *tasks: Made,
        result: str = "success",
        branch: str = "main",
        commit: str = "",
        root: str = "/home/ada/digits",
        resource: Mapping[str, Any] | None = None,
    ) -> str:
        """Write a run, an hour after the one with the number before, and return its id."""
        run_id = f"run-{number:05d}"
        start = START + number * 3600 * SECOND
        folder = self.runs / run_id
        folder.mkdir(parents=True, exist_ok=True)
        attributes = {
            schema.RUN_ID: run_id,
            schema.PIPELINE_NAME: "digits",
            schema.VCS_HEAD_NAME: branch,
            schema.VCS_HEAD_REVISION: commit or hashlib.sha1(run_id.encode()).hexdigest(),
            schema.VCS_REPOSITORY_URL: "https://github.com/ada/digits",
            schema.RUNTIME_VERSION: "3.12.1",
            schema.HOST_NAME: "adas-machine",
            schema.PROCESS_OWNER: "ada",
            schema.PROCESS_DIRECTORY: root,
            **(resource or {}),
        }
        spans = self._spans(run_id, number, start, tasks)
        counts: dict[str, int] = {f"{schema.COUNT}total": len(tasks)}
        for task in tasks:
            counts[schema.COUNT + task.status] = counts.get(schema.COUNT + task.status, 0) + 1
        end = max((span.end for span in spans), default=start) + SECOND // 10
        saved = sum(task.saved for task in tasks if task.source)
        spans.append(
            Span(
                trace_id=_trace(number),
                span_id=_span(0),
                parent_id=None,
                name="RUN digits",
                start=start,
                end=end,
                attributes={schema.RESULT: result, schema.EXIT_CODE: 0, schema.RUN_SAVED: saved, **counts},
            )
        )
        lines = [encode_line(Resource(attributes=attributes), [span]) for span in spans]
        (folder / TRACE).write_bytes(b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines))
        return run_id

    def _spans(self, run_id: str, number: int, start: int, tasks: tuple[Made, ...]) -> list[Span]:
        spans: list[Span] = []
        ids = {task.name: _span(2 * place + 1) for place, task in enumerate(tasks)}
        at = start + SECOND // 10
        for place, task in enumerate(tasks):
            end = at + int((task.seconds or 0) * SECOND)
            if task.seconds is not None:
                tries = range(1, task.attempts + 1)
                spans += [self._attempt(task, number, place, at, end, which) for which in tries]
            spans.append(self._task(task, run_id, number, ids, at, end))
            at = end
        return spans

    def _task(self, task: Made, run_id: str, number: int, ids: dict[str, str], start: int, end: int) -> Span:
        hit = task.seconds is None and task.status in ("up_to_date", "restored")
        key = task.key or hashlib.md5(repr((task.name, task.source or run_id)).encode()).hexdigest()
        artifacts = {name: (self.put(data), len(data), kind) for name, (data, kind) in task.artifacts.items()}
        series = self.put(json.dumps(task.series).encode()) if task.series else None
        if task.status in ("ran", "up_to_date", "restored"):
            self.records[key, key] = {
                "ingredients": [list(item) for item in task.ingredients],
                "outputs": [
                    {
                        "path": path,
                        "digest": hashlib.md5(data).hexdigest(),
                        "files": [{"path": path, "sha256": self.put(data), "size": len(data)}],
                    }
                    for path, data in task.files.items()
                ],
                "undeclared": [{"mode": "read", "path": path} for path in task.undeclared],
                "cells": None,
                "logged": {
                    "params": dict(task.params),
                    "metrics": dict(task.metrics),
                    "tags": dict(task.tags),
                    "artifacts": {
                        name: {"sha256": sha, "size": size, "media_type": kind}
                        for name, (sha, size, kind) in artifacts.items()
                    },
                    "series": series,
                },
            }
        links = [
            Link(trace_id=_trace(number), span_id=ids[name], attributes={schema.LINK_TYPE: "depends_on"})
            for name in task.above
        ]
        if hit:
            links.append(Link(trace_id="ee" * 16, span_id="ee" * 8, attributes={schema.LINK_TYPE: "cache_source"}))
        attributes: dict[str, Any] = {
            schema.TASK_NAME: task.name,
            schema.TASK_FAMILY: task.family or task.name.partition("[")[0],
            schema.TASK_STATUS: task.status,
            schema.TASK_TYPE: "notebook",
            schema.CODE_PATH: f"notebooks/{task.family or 'task'}.py",
            schema.TASK_REASONS: list(task.reasons),
            schema.CACHE_KEY: key,
            schema.CACHE_OWN_KEY: key,
            **{schema.PARAM + escape(name): value for name, value in task.params.items()},
        }
        if hit:
            attributes |= {
                schema.CACHE_STATUS: "hit",
                schema.CACHE_SOURCE_RUN: task.source,
                schema.CACHE_SAVED: task.saved,
            }
        else:
            attributes |= {schema.METRIC + escape(name): value for name, value in task.metrics.items()}
            attributes |= {schema.TAG + escape(name): value for name, value in task.tags.items()}
            if series:
                attributes[schema.SERIES] = series
            if task.undeclared:
                attributes[schema.UNDECLARED_READS] = list(task.undeclared)
        events = [
            SpanEvent(
                name=schema.EVENT_ARTIFACT,
                time=end,
                attributes={
                    schema.ARTIFACT_NAME: name,
                    schema.ARTIFACT_HASH: f"sha256:{sha}",
                    schema.FILE_SIZE: size,
                    schema.ARTIFACT_MEDIA: kind,
                },
            )
            for name, (sha, size, kind) in artifacts.items()
            if not hit
        ]
        events += [
            SpanEvent(
                name=schema.EVENT_OUTPUT,
                time=end,
                attributes={schema.OUTPUT_PATH: path, schema.OUTPUT_DIGEST: digest, schema.FILE_SIZE: 1},
            )
            for path, digest in task.outputs.items()
        ]
        return Span(
            trace_id=_trace(number),
            span_id=ids[task.name],
            parent_id=_span(0),
            name=task.name,
            start=start,
            end=end,
            attributes=attributes,
            events=tuple(events),
            links=tuple(links),
            error=task.error[1] if task.error else None,
        )

    def _attempt(self, task: Made, number: int, place: int, start: int, end: int, which: int) -> Span:
        lost = which < task.attempts
        attributes: dict[str, Any] = {
            schema.TASK_NAME: task.name,
            schema.ATTEMPT_NUMBER: which,
            schema.ATTEMPT_OUTCOME: "lost" if lost else "failed" if task.error else "succeeded",
            schema.HOST_NAME: "adas-machine",
        }
        if task.node:
            attributes[schema.ATTEMPT_NODE] = task.node
        if task.notebook is not None:
            attributes[schema.ATTEMPT_NOTEBOOK] = self.put(json.dumps(task.notebook).encode())
        events: tuple[SpanEvent, ...] = ()
        if task.error:
            kind, message, trace = task.error
            attributes[schema.ERROR_TYPE] = kind
            events = (
                SpanEvent(
                    name=schema.EVENT_EXCEPTION,
                    time=end,
                    attributes={
                        schema.EXCEPTION_TYPE: kind,
                        schema.EXCEPTION_MESSAGE: message,
                        schema.EXCEPTION_TRACE: trace,
                    },
                ),
            )
        return Span(
            trace_id=_trace(number),
            span_id=_span(2 * place + 2 + 100_000 * (which - 1)),
            parent_id=_span(2 * place + 1),
            name=f"attempt {which}",
            start=start,
            end=end,
            attributes=attributes,
            events=events,
            error="the node is gone" if lost else task.error[1] if task.error else None,
        )


def executed(recorded: Recorded, task: TaskRun) -> Mapping[int, Mapping[str, Any]]:
    """Give the notebooks that attempts left."""
    found = {attempt.number: recorded.blob(attempt.notebook) for attempt in task.attempts if attempt.notebook}
    return {number: json.loads(data) for number, data in found.items() if data is not None}


def _trace(number: int) -> str:
    return f"{number + 1:032x}"


def _span(number: int) -> str:
    return f"{number + 1:016x}"
