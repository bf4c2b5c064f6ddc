"""`nbdag open`."""

from __future__ import annotations

import glob
import os
import shlex
import subprocess
import time
from contextlib import closing

import click

from nbmake_dag.build.executions import folder_name
from nbmake_dag.build.prepare import Stores, prepare
from nbmake_dag.build.request import Request
from nbmake_dag.commands.options import located, project_of
from nbmake_dag.core.model import TaskName
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag.opening.copy import Copy, copy_path, make_copy
from nbmake_dag.opening.editor import jupyter_command, start_jupyter

_PERIOD_S = 0.5


@click.command
@click.argument("task")
@located
@click.option("--failed", is_flag=True, help="Open the notebook of its last failure, as far as it came.")
@click.option("--print-path", is_flag=True, help="Write the prepared notebook, and print its path.")
@click.option("--save-back", is_flag=True, help="Write what was edited in the prepared notebook to its source.")
def command(
    directory: str | None, file: str | None, task: str, *, failed: bool, print_path: bool, save_back: bool
) -> int:
    """Open a task's notebook as the task sees it, in JupyterLab.

    It is a copy, with the parameters, inputs and outputs of TASK; what is edited there and saved flows back to the
    source while the command runs.
    """
    project = project_of(directory, file)
    if failed:
        return _show(_failed_notebook(project, task), None, print_path=print_path)
    with closing(Stores.open(project)) as stores:
        prepared = prepare(project, Request(targets=(task,)), stores)
        name = TaskName(task)
        if name not in prepared.graph.tasks:
            family = [each for each in prepared.graph.order if prepared.graph.tasks[each].family == task]
            raise UsageError(f"`{task}` is not one task", (("instances", ", ".join(family)),))
        if save_back:
            copy = copy_path(project, prepared.graph.tasks[name])
            if not os.path.exists(copy.path):
                raise UsageError(f"the notebook of `{task}` was not opened")
            _save(copy, project)
            return 0
        copy = make_copy(prepared, name)
    return _show(copy.path, (copy, project), print_path=print_path)


def _show(notebook: str, back: tuple[Copy, Project] | None, *, print_path: bool) -> int:
    if print_path:
        click.echo(notebook)
        return 0
    jupyter = start_jupyter(notebook)
    if jupyter is None:
        click.echo(
            f"JupyterLab is not installed here; open it with\n\n  {shlex.join(jupyter_command(notebook))}\n"
        )
        if back is None:
            return 0
    if back is not None:
        click.echo(
            f"edits flow back to {back[1].relative(back[0].source)} until this ends; Ctrl-C ends it", err=True
        )
    try:
        _await_end(jupyter, back)
    except KeyboardInterrupt:
        if jupyter is not None:
            jupyter.terminate()
            jupyter.wait()
    if back is not None:
        _save(*back)
    return 0


def _await_end(jupyter: subprocess.Popen[bytes] | None, back: tuple[Copy, Project] | None) -> None:
    """Save until the editor ends; what cannot be saved is said once."""
    said = ""
    while jupyter is None or jupyter.poll() is None:
        try:
            if back is not None:
                _save(*back)
        except UsageError as error:
            if str(error) != said:
                said = str(error)
                click.echo(f"error: {said}", err=True)
        time.sleep(_PERIOD_S)


def _save(copy: Copy, project: Project) -> None:
    if copy.save_back():
        click.echo(f"saved {project.relative(copy.source)}", err=True)


def _failed_notebook(project: Project, task: str) -> str:
    place = os.path.join(
        glob.escape(project.failed), "*", glob.escape(folder_name(TaskName(task))), "executed.ipynb"
    )
    found = sorted(glob.glob(place))
    if not found:
        raise UsageError(f"no failure of `{task}` has left a notebook")
    return found[-1]
