"""`nbdag open`."""

from __future__ import annotations

import glob
import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import closing

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import located, profiled, project_of
from nbmake_dag.core.model import TaskName
from nbmake_dag.editor.conflict import Take
from nbmake_dag.editor.copy import Copy, copy_path, make_copy
from nbmake_dag.editor.made_environment import jupyter_path
from nbmake_dag.engine.dispatch.dispatcher import folder_name
from nbmake_dag.engine.prepare import prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import NbdagError, UsageError
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.project import Project

_PERIOD_S = 0.5


@click.command(
    cls=Command,
    examples={
        "nbdag open train": "its notebook with its parameters, in JupyterLab",
        "nbdag open train --failed": "as it was when it failed",
    },
)
@click.argument("task")
@located
@profiled
@click.option("--failed", is_flag=True, help="Open the notebook of its last failure, up to the failure.")
@click.option("--print-path", is_flag=True, help="Write the prepared notebook, and print its path.")
@click.option("--save-back", is_flag=True, help="Write the edits in the prepared notebook back to its source.")
@click.option(
    "--take",
    type=click.Choice(["copy", "source"]),
    help="Where both were edited: keep what this one has, and put what the other had beside the copy.",
)
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    task: str,
    *,
    failed: bool,
    print_path: bool,
    save_back: bool,
    take: Take | None,
) -> int:
    """Open a task's notebook as the task sees it, in JupyterLab.

    It is a copy, with the parameters, inputs and outputs of TASK; edits saved there are written back to the
    source while the command runs, and edits of the source reach the copy.
    """
    project = project_of(directory, file, profiles)
    if failed:
        return _show(_failed_notebook(project, task), project, None, print_path=print_path)
    with closing(Stores.open(project)) as stores:
        prepared = prepare(project, Request(targets=(task,)), stores, by_last=True)
        redactor = Redactor(prepared.survey.secrets)
        name, *others = [each for each in prepared.graph.order if each in prepared.targets]
        if others or prepared.graph.tasks[name].is_unknown:
            raise UsageError(f"`{task}` is not one task", (("instances", ", ".join((name, *others))),))
        if save_back:
            copy = copy_path(prepared, name)
            if not os.path.exists(copy.path):
                raise UsageError(f"the notebook of `{task}` was not opened")
            _sync(copy, project, take)
            copy.redact(redactor)
            return 0
        copy = make_copy(prepared, name, take)
        code = _show(copy.path, project, copy, print_path=print_path)
    copy.redact(redactor)
    return code


def _show(notebook: str, project: Project, copy: Copy | None, *, print_path: bool) -> int:
    if print_path:
        click.echo(notebook)
        return 0
    jupyter = _start_jupyter(notebook, project)
    if jupyter is None:
        command_line = shlex.join(_jupyter_command(notebook, project))
        if path := _jupyter_path(notebook):
            command_line = f"JUPYTER_PATH={shlex.quote(path)} {command_line}"
        click.echo(f"JupyterLab is not installed here; open it with\n\n  {command_line}\n")
        if copy is None:
            return 0
    if copy is not None:
        source = project.relative(copy.source)
        click.echo(
            f"edits of the copy are saved to {source}, and its edits loaded, until you press Ctrl-C", err=True
        )
    try:
        _await_end(jupyter, project, copy)
    except KeyboardInterrupt:
        if jupyter is not None:
            jupyter.terminate()
            jupyter.wait()
    if copy is not None:
        _sync(copy, project)
    return 0


def _jupyter_command(notebook: str, project: Project) -> list[str]:
    """Return the command that opens a notebook, with the repository around it: modules, data, other notebooks."""
    # the copy is in a hidden folder
    options = [f"--ServerApp.root_dir={project.repository}", "--ContentsManager.allow_hidden=True"]
    return ["jupyter", "lab", *options, notebook]


def _start_jupyter(notebook: str, project: Project) -> subprocess.Popen[bytes] | None:
    """Start JupyterLab, of this environment or else of the search path; ``None`` where there is none."""
    beside = os.path.join(os.path.dirname(sys.executable), "jupyter-lab")
    program = beside if os.path.exists(beside) else shutil.which("jupyter-lab")
    if program is None:
        return None
    path = _jupyter_path(notebook)
    more = {"JUPYTER_PATH": os.pathsep.join(filter(None, (path, os.environ.get("JUPYTER_PATH"))))} if path else {}
    return subprocess.Popen([program, *_jupyter_command(notebook, project)[2:]], env={**os.environ, **more})


def _jupyter_path(notebook: str) -> str:
    """Return where Jupyter finds the kernel of a copy whose task runs in an environment that nbdag made."""
    path = jupyter_path(os.path.dirname(notebook))
    return path if os.path.isdir(path) else ""


def _await_end(jupyter: subprocess.Popen[bytes] | None, project: Project, copy: Copy | None) -> None:
    """Keep both in step until the editor ends; what cannot be saved is reported once."""
    said = ""
    while jupyter is None or jupyter.poll() is None:
        try:
            if copy is not None:
                _sync(copy, project)
            said = ""
        except (NbdagError, OSError) as error:
            if str(error) != said:
                said = str(error)
                click.echo(f"error: {said}", err=True)
        time.sleep(_PERIOD_S)


def _sync(copy: Copy, project: Project, take: Take | None = None) -> None:
    for path in copy.sync(take):
        if path == copy.path:
            click.echo(f"loaded {project.relative(copy.source)}: reload the notebook in the editor", err=True)
        else:
            click.echo(f"saved {project.relative(path)}", err=True)


def _failed_notebook(project: Project, task: str) -> str:
    place = os.path.join(
        glob.escape(project.failed), "*", glob.escape(folder_name(TaskName(task))), "executed.ipynb"
    )
    found = sorted(glob.glob(place))
    if not found:
        raise UsageError(f"no failure of `{task}` has left a notebook")
    return found[-1]
