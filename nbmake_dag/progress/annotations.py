"""Workflow commands of a build for GitHub Actions: masks for secrets, and a mark at each failure."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import assert_never

from msgspec.structs import replace

from nbmake_dag.core.model import Function, Notebook, Task
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.execute.protocol import Failure
from nbmake_dag.observe.project import Project
from nbmake_dag.present.text import plain
from nbmake_dag.present.workflow_commands import WorkflowCommand, command, masks
from nbmake_dag.progress.screen import Screen
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome
from nbmake_dag.record.run_events import (
    ExecutorReported,
    Notice,
    RetryScheduled,
    RunEnded,
    RunEvent,
    RunStarted,
    TaskEnded,
    TaskQueued,
    TasksKnown,
    TaskWaits,
    Tick,
    UndeclaredFound,
)

_MOST = 10
"""Annotations of a step that GitHub shows."""
_LONGEST = 1000


@contextmanager
def complaints_marked(screen: Screen, project: Project) -> Generator[None]:
    """Mark each complaint at its line when the pipeline cannot be used."""
    try:
        yield
    except ConfigError as error:
        screen.print([_complaint(complaint, project) for complaint in error.complaints[:_MOST]])
        raise


def _complaint(complaint: Complaint, project: Project) -> WorkflowCommand:
    path, _, line = complaint.place.rpartition(":")
    place = {"file": os.path.relpath(project.absolute(path), project.repository), "line": line} if path else {}
    hint = f"\nhint: {complaint.hint}" if complaint.hint else ""
    return command("error", f"{complaint.what}{hint}", title="The pipeline cannot be used", **place)


class Annotations:
    """A listener that is notified before all displays."""

    _run: RunStarted

    def __init__(self, screen: Screen, environ: Mapping[str, str]) -> None:
        self._screen = screen
        self._environ = environ

    def notify(self, event: RunEvent) -> None:
        match event:
            case RunStarted():
                self._mask_secrets(event)
            case TasksKnown(graph=graph):
                self._run = replace(self._run, graph=graph)
            case RunEnded(outcome=outcome):
                self._mark_failures(outcome)
            case TaskQueued() | TaskWaits() | ExecutorReported() | RetryScheduled() | TaskEnded():
                pass
            case UndeclaredFound() | Notice() | Tick():
                pass
            case _:
                assert_never(event)

    def _mask_secrets(self, run: RunStarted) -> None:
        self._run = run
        secrets = sorted(run.pipeline.secrets)
        self._screen.print([line for name in secrets for line in masks(self._environ.get(name, ""))])

    def _mark_failures(self, outcome: RunOutcome) -> None:
        failed = [task for task in outcome.tasks.values() if task.status == "failed"]
        shown = failed if len(failed) <= _MOST else failed[: _MOST - 1]
        self._screen.print([self._annotation(task) for task in shown])
        if more := len(failed) - len(shown):
            self._screen.print(
                [command("error", f"{more} more tasks failed", title=f"{len(failed)} tasks failed")]
            )

    def _annotation(self, outcome: TaskOutcome) -> WorkflowCommand:
        failure = outcome.attempts[-1].failure
        task = self._run.graph.tasks[outcome.task]
        path, line = self._place(task, failure)
        return command(
            "error",
            _message(failure),
            title=f"{outcome.task} failed",
            file=os.path.relpath(path, self._run.project.repository),
            line=line,
        )

    def _place(self, task: Task, failure: Failure | None) -> tuple[str, int | None]:
        """Find the file, and the line in it where that is known; else where the task is declared."""
        project = self._run.project
        match task.work:
            case Notebook(path=path) as work:
                return project.absolute(path), _line_in_notebook(project.absolute(path), work.form, failure)
            case Function(module=module) if os.path.isfile(file := project.absolute(_module_file(module))):
                return file, failure.line if failure else None
            case _:
                return project.absolute(task.file), task.line


def _line_in_notebook(path: str, form: str, failure: Failure | None) -> int | None:
    from nbmake_dag.present.source_lines import line_in_file  # noqa: PLC0415  # slow, for a failure alone

    if failure is None or failure.cell is None:
        return None
    try:
        with open(path, "rb") as file:
            return line_in_file(file.read(), path, failure.cell, failure.line or 1, form)
    except OSError:
        return None


def _module_file(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _message(failure: Failure | None) -> str:
    """Describe the error, and the cell it was in."""
    if failure is None:
        return "for an unknown reason"
    kind = "" if failure.type in {"timeout", "exit", "_OTHER"} else f"{failure.type}: "
    where = f"\n{failure.cell}" if failure.cell is not None else ""
    where += f", line {failure.line}" if where and failure.line is not None else ""
    message = "\n".join(map(plain, failure.message[:_LONGEST].split("\n")))
    return f"{kind}{message}{where}"
