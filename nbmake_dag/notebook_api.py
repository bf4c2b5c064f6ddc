"""nbdag in Jupyter and in plain Python: a loaded pipeline, what a build did, and the ``%nbdag`` magic."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nbmake_dag.core.model import Value
from nbmake_dag.engine.build import build
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.session import planned
from nbmake_dag.observe.project import Project, find_project, profiles_in
from nbmake_dag.present.summary import summary_line
from nbmake_dag.present.units import precise
from nbmake_dag.present.verdicts import describe_plan
from nbmake_dag.progress.display import Output, make_display
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome

_COLUMNS = ("task", "status", "duration", "why", "notebook")


@dataclass(frozen=True, slots=True)
class Built:
    """What a build did, shown as a table in a notebook."""

    project: Project = field(repr=False)
    outcome: RunOutcome = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether everything went well."""
        return self.outcome.result == "success"

    @property
    def tasks(self) -> dict[str, str]:
        """The status of each task; empty where nothing had changed since the last build."""
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
        """Link to the notebook of a failure, executed up to the failure."""
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
        """Do what `nbdag build` does; raises `NbdagError` for errors before it starts, none for failed tasks.

        In the main thread an interrupt ends the build and raises `KeyboardInterrupt`. Another signal that asks for
        an end is then raised once more, for whoever else handles it.
        """
        request = Request(
            targets=targets or self.project.default_targets,
            overrides=parameters or {},
            force=force,
            keep_going=keep_going,
            jobs=jobs,
        )
        display = make_display(output, sys.stderr)
        try:
            outcome = build(self.project, request, (display,), waiting=display.print_notice)
        finally:
            display.close()
        if outcome.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if outcome.signal is not None:
            signal.raise_signal(outcome.signal)
        return Built(self.project, outcome)

    def status(self, *targets: str) -> str:
        """Return the stale tasks and why they are stale, as `nbdag status` prints them."""
        request = Request(targets=targets or self.project.default_targets)
        return "\n".join(describe_plan(planned(self.project, request).verdicts))


def load(path: str | os.PathLike[str] = "pipeline.toml") -> Loaded:
    """Find the pipeline at ``path``; raises `UsageError` where there is none."""
    return Loaded(find_project(None, os.fspath(path), profiles_in(os.environ)))


def load_ipython_extension(shell: Any) -> None:
    """Add ``%nbdag``, which takes what the command line takes."""
    shell.register_magic_function(_magic, "line", "nbdag")


def _magic(line: str) -> None:
    """Do what the command does; what did not end well fails the cell, so that none after it is executed."""
    from IPython.core.error import UsageError  # noqa: PLC0415 - IPython calls this

    from nbmake_dag.commands.cli import run  # noqa: PLC0415 - click, for the magic alone

    code = run(shlex.split(line))
    if code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    if code:
        raise UsageError(f"`nbdag {line}` ended with exit code {code}")
