"""The environment variables of tasks: those of the driver, read once; never those of a Ray worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbmake_dag.core.text import encodable
from nbmake_dag.observe.project import Project

if TYPE_CHECKING:
    from nbmake_dag.core.model import Task

_OURS = ("NBDAG_", "TRACEPARENT", "TRACESTATE")
_MLFLOW = "MLFLOW_TRACKING_URI"


def driver_environment() -> dict[str, str]:
    """Return the variables of this process, but for those that are not UTF-8, which no message can hold."""
    return {name: value for name, value in os.environ.items() if encodable(name + value) == name + value}


def work_environment(
    task: Task,
    variables: Mapping[str, str],
    project: Project,
    *,
    mlflow: bool,
    run_id: str,
    attempt: int,
    traceparent: str,
) -> dict[str, str]:
    """Return every variable that the work of a task sees.

    ``mlflow`` says whether MLflow and nbdag are both installed where it runs: there MLflow's calls are recorded by
    nbdag.
    """
    inherited = {name: value for name, value in variables.items() if not name.startswith(_OURS)}
    if mlflow:
        inherited.setdefault(_MLFLOW, "nbdag:")
    return {
        **inherited,
        **task.env,
        "NBDAG_RUN_ID": run_id,
        "NBDAG_TASK": task.name,
        "NBDAG_ATTEMPT": str(attempt),
        "NBDAG_ROOT": project.root,
        "NBDAG_REPOSITORY": project.repository,
        **({"NBDAG_WORKSPACE": project.workspace} if project.workspace else {}),
        "TRACEPARENT": traceparent,
    }
