"""The environment that work runs in: the driver's, captured once, never that of a Ray worker."""

from __future__ import annotations

from collections.abc import Mapping

from nbmake_dag.core.model import Task
from nbmake_dag.observe.project import Project

_OURS = ("NBDAG_", "TRACEPARENT", "TRACESTATE")


def work_environment(
    task: Task, variables: Mapping[str, str], project: Project, *, run_id: str, attempt: int, traceparent: str
) -> dict[str, str]:
    """Return every variable that the work of a task sees."""
    inherited = {name: value for name, value in variables.items() if not name.startswith(_OURS)}
    return {
        **inherited,
        **task.env,
        "NBDAG_RUN_ID": run_id,
        "NBDAG_TASK": task.name,
        "NBDAG_ATTEMPT": str(attempt),
        "NBDAG_ROOT": project.root,
        "NBDAG_REPOSITORY": project.repository,
        "TRACEPARENT": traceparent,
    }
