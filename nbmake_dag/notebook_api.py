"""nbdag in Jupyter and in plain Python: a loaded pipeline, what a build did, and the ``%nbdag`` magic."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.build.request import Request
from nbmake_dag.build.run import build
from nbmake_dag.build.session import plan_of
from nbmake_dag.commands.verdicts import describe_plan
from nbmake_dag.core.model import Value
from nbmake_dag.observe.project import Project, find_project
from nbmake_dag.progress.display import Output, make_display
from nbmake_dag.progress.summary import summary_line
from nbmake_dag.progress.time_spans import precise

_COLUMNS = ("task", "status", "duration", "why", "notebook")


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did, shown as a table in a notebook. ``ok`` says whether everything went well."""

    project: Project = field(repr=False)
    outcome: RunOutcome = field(repr=False)

    @property
    def ok(self) -> bool:
        return self.outcome.result == "success"

    @property
    def tasks(self) -> dict[str, str]:
        """The status of each task that was looked at: none, where nothing had changed since the last build."""
        return {name: task.status for name, task in self.outcome.tasks.items()}

    def __repr__(self) -> str:
        width = max((len(name) for name in self.tasks), default=0)
        lines = (f"{name:<{width}}  {status}" for name, status in self.tasks.items())
        return "\n".join((*lines, summary_line(self.outcome)))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS) if self.tasks else ""
        rows = "".join(f"<tr>{''.join(self._cells(task))}</tr>" for task in self.outcome.tasks.values())
        return f"<table><tr>{head}</tr>{rows}</table><p>{escape(summary_line(self.outcome))}</p>"

    def _cells(self, task: TaskOutcome) -> Iterable[str]:
        duration = precise(task.duration_s) if task.attempts else ""
        why = f"{task.because} failed" if task.because else "; ".join(task.reasons)
        yield from (f"<td>{escape(text)}</td>" for text in (task.task, task.status, duration, why))
        yield f"<td>{self._link(task)}</td>"

    def _link(self, task: TaskOutcome) -> str:
        """Link to the notebook of a failure, as far as it came."""
        if task.failed_folder is None:
            return ""
        path = os.path.join(self.project.absolute(task.failed_folder), "executed.ipynb")
        if not os.path.exists(path):
            return ""
        return f'<a href="{escape(os.path.relpath(path))}">{escape(self.project.relative(path))}</a>'


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline that can be built; it is read again for each build."""

    project: Project

    def build(
        self,
        *targets: str,
        parameters: Mapping[str, Value] | None = None,
        force: bool = False,
        keep_going: bool = False,
        jobs: int | None = None,
        output: Output = "auto",
    ) -> Built:
        """Do what `nbdag build` does, from the main thread; raises `NbdagError` for what is wrong before it."""
        request = Request(
            targets=targets, overrides=parameters or {}, force=force, keep_going=keep_going, jobs=jobs
        )
        display = make_display(output, sys.stderr)
        try:
            return Built(self.project, build(self.project, request, (display,), waiting=display.said))
        finally:
            display.close()

    def status(self, *targets: str) -> str:
        """Say what is stale and why, as `nbdag status` does."""
        return "\n".join(describe_plan(plan_of(self.project, Request(targets=targets))))


def load(path: str | os.PathLike[str] = "pipeline.toml") -> Loaded:
    """Find the pipeline at ``path``; raises `UsageError` where there is none."""
    return Loaded(find_project(None, os.fspath(path)))


def load_ipython_extension(shell: Any) -> None:
    """Add ``%nbdag``, which takes what the command line takes."""
    shell.register_magic_function(_magic, "line", "nbdag")


def _magic(line: str) -> None:
    from nbmake_dag.commands.cli import run  # noqa: PLC0415 - click, for the magic alone

    run(shlex.split(line))
