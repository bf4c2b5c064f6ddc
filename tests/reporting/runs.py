"""A small run on disk, with a task that ran, one that failed, and a hit, and the blobs that it names."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.otlp import encode_line
from nbmake_dag_reporting.runs import read_run
from nbmake_dag_reporting.spans import AttributeValue, Link, Resource, Span, SpanEvent

TRACE = "ab" * 16
SECOND = 1_000_000_000
BYTES = {name: name.encode() for name in ("roc", "secret", "plan")}
BLOBS = {hashlib.sha256(data).hexdigest(): data for data in BYTES.values()}
HIT: dict[str, Any] = {
    "logged": {"params": {}, "metrics": {"auc": 0.5}, "tags": {}, "artifacts": {}, "series": None},
    "undeclared": [],
    "outputs": [],
    "cells": None,
}


def sha256(name: str) -> str:
    return hashlib.sha256(BYTES[name]).hexdigest()


def recorded(directory: Path, artifacts: dict[str, str] | None = None) -> Recorded:
    """Write the run, whose task `ran[x=a/b]` logged artefacts of the given names, and read it back."""
    directory.mkdir(parents=True, exist_ok=True)
    named = {"roc.txt": "roc"} if artifacts is None else artifacts
    spans = [
        _task(3, "ran[x=a/b]", "ran", 1, events=tuple(_artifact(name, sha256(of)) for name, of in named.items())),
        _attempt(4, "ran[x=a/b]", 3, "succeeded", 1),
        _task(5, 'say "no"', "failed", 2, above=3),
        _attempt(6, 'say "no"', 5, "timeout", 2),
        _task(7, "hit", "up_to_date", 3, above=5),
        _span(2, "RUN p", None, 0, 4, {schema.RESULT: "failure", schema.COUNT + "total": 3}),
    ]
    resource = Resource(attributes={schema.RUN_ID: "r1", schema.PIPELINE_NAME: "p"})
    (directory / "trace.otlp.jsonl").write_bytes(b"".join(encode_line(resource, [span]) for span in spans))
    records = {("o", "k"): HIT}
    return Recorded(
        run=read_run(str(directory), lambda own_key, key: records.get((own_key, key))),
        blob=BLOBS.get,
        record=lambda own_key, key: records.get((own_key, key)),
    )


def _span(
    number: int, name: str, parent: int | None, start: int, end: int, at: dict[str, Any], **more: Any
) -> Span:
    return Span(
        trace_id=TRACE,
        span_id=f"{number:016x}",
        parent_id=f"{parent:016x}" if parent else None,
        name=name,
        start=start * SECOND,
        end=end * SECOND,
        attributes=at,
        **more,
    )


def _task(number: int, name: str, status: str, start: int, above: int | None = None, **more: Any) -> Span:
    at: dict[str, Any] = {schema.TASK_NAME: name, schema.TASK_STATUS: status, schema.TASK_TYPE: "notebook"}
    if status == "up_to_date":
        at |= {schema.CACHE_STATUS: "hit", schema.CACHE_KEY: "k", schema.CACHE_OWN_KEY: "o"}
    if above:
        link = Link(trace_id=TRACE, span_id=f"{above:016x}", attributes={schema.LINK_TYPE: "depends_on"})
        more["links"] = (link,)
    return _span(number, name, 2, start, start + 1, at, **more)


def _attempt(number: int, task: str, parent: int, outcome: str, start: int) -> Span:
    at = {schema.TASK_NAME: task, schema.ATTEMPT_NUMBER: 1, schema.ATTEMPT_OUTCOME: outcome}
    at[schema.ATTEMPT_LOG] = sha256("plan")
    return _span(number, "attempt 1", parent, start, start + 1, at)


def _artifact(name: str, digest: str) -> SpanEvent:
    attributes: dict[str, AttributeValue] = {
        schema.ARTIFACT_NAME: name,
        schema.ARTIFACT_HASH: f"sha256:{digest}",
        schema.FILE_SIZE: 3,
        schema.ARTIFACT_MEDIA: "text/plain",
    }
    return SpanEvent(name=schema.EVENT_ARTIFACT, time=1, attributes=attributes)
