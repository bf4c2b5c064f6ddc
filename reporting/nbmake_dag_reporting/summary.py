"""The JSON of ``--summarize``: one run in a form for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbmake_dag_reporting.run import Run, TaskRun
from nbmake_dag_reporting.vocabulary import count


def summarize(run: Run) -> dict[str, Any]:
    """Return every task of a run, hits included, with counts of every status."""
    return {
        "run_id": run.id,
        "result": run.result,
        "duration_s": _seconds(run.started, run.ended),
        "saved_s": run.saved_s,
        "counts": count(task.status for task in run.tasks.values()),
        "tasks": [_task(task) for task in run.tasks.values()],
    }


def _task(task: TaskRun) -> Mapping[str, Any]:
    summary: dict[str, Any] = {
        "name": task.name,
        "status": task.status,
        "reasons": list(task.reasons),
        "key": task.key,
        "duration_s": _seconds(task.started, task.ended) if task.attempts else 0.0,
        "attempts": len(task.attempts),
    }
    return {**summary, "draft": True} if task.draft else summary


def _seconds(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else (end - start) / 1e9
