"""Runs and tasks as JSON for scripts: every field, times in nanoseconds since the epoch."""

from __future__ import annotations

from typing import Any

import msgspec

from nbmake_dag_reporting.numbers import spelled
from nbmake_dag_reporting.run import Run, RunHead, TaskRun


def head_document(head: RunHead) -> dict[str, Any]:
    """Describe a run without its tasks; its path on this machine is left out."""
    document: dict[str, Any] = msgspec.to_builtins(head)
    for name in ("directory", "tasks", "resource"):
        document.pop(name, None)
    return document


def run_document(run: Run) -> dict[str, Any]:
    """Describe a run with a line of each task."""
    tasks = [
        {
            "name": task.name,
            "status": task.status,
            "reasons": list(task.reasons),
            "key": task.key,
            "started": task.started,
            "ended": task.ended,
            "attempts": len(task.attempts),
            "upstreams": list(task.upstreams),
            "metrics": dict(task.metrics),
            "failure": _failure(task),
            **({"draft": True} if task.draft else {}),
        }
        for task in run.tasks.values()
    ]
    return {**head_document(run), "tasks": tasks}


def task_document(run: Run, name: str) -> dict[str, Any]:
    """Describe one task completely."""
    document: dict[str, Any] = msgspec.to_builtins(run.tasks[name])
    return {"run_id": run.id, **document}


def encode_document(document: Any) -> bytes:
    """Write JSON to be read by people too."""
    return msgspec.json.format(msgspec.json.encode(spelled(document)), indent=2) + b"\n"


def _failure(task: TaskRun) -> str | None:
    failure = task.attempts[-1].failure if task.attempts else None
    return f"{failure.type}: {failure.message}" if failure and task.status == "failed" else None
