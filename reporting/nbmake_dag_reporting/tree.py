"""A run as a tree of files that a person can browse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from secrets import token_hex
from typing import Any

from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.documents import encode_document, run_document, task_document
from nbmake_dag_reporting.drawing import drawing_of
from nbmake_dag_reporting.gantt import gantt
from nbmake_dag_reporting.graph_formats import mermaid
from nbmake_dag_reporting.html import notebook_page
from nbmake_dag_reporting.notebook import encode_notebook
from nbmake_dag_reporting.otlp import TRACE
from nbmake_dag_reporting.run import TaskRun
from nbmake_dag_reporting.runs import read_trace
from nbmake_dag_reporting.safe_names import safe_folders, safe_paths
from nbmake_dag_reporting.secrets_scan import Secrets


def write_tree(
    out: str,
    recorded: Recorded,
    executed: Callable[[TaskRun], Mapping[int, Mapping[str, Any]]],
    markdown: Callable[[str], str],
    secrets: Secrets,
) -> tuple[str, ...]:
    """Write a run into a folder that is new or empty, and return the content that is missing.

    ``executed`` has the notebooks of a task by attempt; the last one is the task's. Raises
    `SecretFoundError` and `OSError`; the folder is then as it was.
    """
    out = os.path.abspath(out)
    half = os.path.join(os.path.dirname(out), f".nbdag-{token_hex(12)}")
    gone: list[str] = []
    try:
        for path, data in _files(recorded, executed, markdown):
            if data is None:
                gone.append(path)
            else:
                _write(os.path.join(half, path), secrets.clean(data, path))
        os.rename(half, out)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return tuple(gone)


def _files(
    recorded: Recorded,
    executed: Callable[[TaskRun], Mapping[int, Mapping[str, Any]]],
    markdown: Callable[[str], str],
) -> Iterator[tuple[str, bytes | None]]:
    """Yield each path with its content, nothing where that is gone."""
    run = recorded.run
    if os.path.isdir(run.directory):
        yield TRACE, read_trace(run.directory)
    yield "run.json", encode_document(run_document(run))
    yield "dag.mmd", mermaid(drawing_of(run)).encode()
    yield "gantt.mmd", gantt(run).encode()
    for name, folder in safe_folders(run.tasks).items():
        task, place = run.tasks[name], os.path.join("tasks", folder)
        yield os.path.join(place, "task.json"), encode_document(task_document(run, name))
        notebooks = executed(task)
        for number, document in notebooks.items():
            stem = "notebook" if number == max(notebooks) else f"attempt-{number}"
            yield os.path.join(place, f"{stem}.ipynb"), encode_notebook(document)
            page = notebook_page(document, name, markdown)
            yield os.path.join(place, f"{stem}.html"), page.encode("utf-8", "replace")
        for artifact, path in safe_paths(task.artifacts).items():
            yield os.path.join(place, "artifacts", path), recorded.blob(task.artifacts[artifact].sha256)
        for attempt in task.attempts:
            if attempt.log:
                yield os.path.join(place, f"attempt-{attempt.number}.log"), recorded.blob(attempt.log)
        if task.series:
            yield os.path.join(place, "series.json"), recorded.blob(task.series)


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
