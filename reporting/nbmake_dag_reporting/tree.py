"""A run as a tree of files that a person can browse."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.documents import encode_document, run_document, task_document
from nbmake_dag_reporting.drawing import drawing_of
from nbmake_dag_reporting.gantt import gantt
from nbmake_dag_reporting.graph_formats import mermaid
from nbmake_dag_reporting.html import notebook_page
from nbmake_dag_reporting.notebook import encode_notebook
from nbmake_dag_reporting.run import TaskRun
from nbmake_dag_reporting.safe_names import safe_folders, safe_paths


def write_tree(
    out: str,
    recorded: Recorded,
    executed: Callable[[TaskRun], Mapping[int, Mapping[str, Any]]],
    markdown: Callable[[str], str],
) -> tuple[str, ...]:
    """Write a run below a folder that is new or empty; returns what it names and is gone.

    ``executed`` gives the notebooks of a task by attempt; the last one is the task's.
    """
    run = recorded.run
    _write(os.path.join(out, "run.json"), encode_document(run_document(run)))
    _write(os.path.join(out, "dag.mmd"), mermaid(drawing_of(run)).encode())
    _write(os.path.join(out, "gantt.mmd"), gantt(run).encode())
    gone: list[str] = []
    for name, folder in safe_folders(run.tasks).items():
        task, place = run.tasks[name], os.path.join(out, "tasks", folder)
        _write(os.path.join(place, "task.json"), encode_document(task_document(run, name)))
        notebooks = executed(task)
        for number, document in notebooks.items():
            stem = "notebook" if number == max(notebooks) else f"attempt-{number}"
            _write(os.path.join(place, f"{stem}.ipynb"), encode_notebook(document))
            page = notebook_page(document, name, markdown)
            _write(os.path.join(place, f"{stem}.html"), page.encode("utf-8", "replace"))
        blobs = {
            os.path.join(place, "artifacts", path): task.artifacts[artifact].sha256
            for artifact, path in safe_paths(task.artifacts).items()
        }
        blobs |= {
            os.path.join(place, f"attempt-{attempt.number}.log"): attempt.log
            for attempt in task.attempts
            if attempt.log
        }
        if task.series:
            blobs[os.path.join(place, "series.json")] = task.series
        for path, sha256 in blobs.items():
            data = recorded.blob(sha256)
            if data is None:
                gone.append(os.path.relpath(path, out))
            else:
                _write(path, data)
    return tuple(gone)


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
