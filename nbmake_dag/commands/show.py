"""`nbdag show`."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, project_of, say

if TYPE_CHECKING:
    from nbmake_dag.errors import UnknownRunError
    from nbmake_dag.observe.project import Project
    from nbmake_dag_reporting.run import TaskRun


@click.command(
    cls=Command,
    examples={
        "nbdag show": "the latest run",
        "nbdag show latest~1 train": "one task of the run before",
        "nbdag show --log train": "what a task printed last",
        "nbdag show --notebook - train": "its executed notebook, to standard output",
    },
)
@click.argument("run", required=False)
@click.argument("task", required=False)
@located
@click.option("--notebook", metavar="FILE", help="Write the executed notebook of TASK to FILE, or print it (-).")
@click.option("--log", "wants_log", is_flag=True, help="Print what TASK printed.")
@as_json("run", "task")
def command(
    directory: str | None,
    file: str | None,
    run: str | None,
    task: str | None,
    notebook: str | None,
    *,
    wants_log: bool,
    writes_json: bool,
) -> None:
    """Show the tasks of a run and why they ran, or one of its tasks in full.

    RUN is an id, a prefix of one, `latest`, `latest~N`, a git ref, or the path of a bundle. With --log and
    --notebook a TASK may stand alone: what it printed and made when it last ran.
    """
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.results.executed_notebook import executed_notebooks  # noqa: PLC0415 - not for --help
    from nbmake_dag.errors import UnknownRunError, UsageError  # noqa: PLC0415 - likewise
    from nbmake_dag.present.run_text import printed, run_lines, task_lines  # noqa: PLC0415 - likewise
    from nbmake_dag.present.text import terminal_columns  # noqa: PLC0415 - likewise
    from nbmake_dag.runs.find import last_of, task_of  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import (  # noqa: PLC0415 - likewise
        encode_document,
        run_document,
        task_document,
    )
    from nbmake_dag_reporting.notebook import CellMismatchError, encode_notebook  # noqa: PLC0415 - likewise

    is_alone = task is None and run is not None and run.partition("~")[0] != "latest"
    last = run if is_alone and (notebook or wants_log) else None
    task = task or last
    _check(task, notebook, wants_log=wants_log)
    try:
        recorded = (
            last_of(project_of(directory, file), last) if last else recorded_of(directory, file, run or "latest")
        )
    except UnknownRunError as error:
        raise error if run is None else _unknown(project_of(directory, file), run, error) from error
    if task is None:
        if writes_json:
            click.echo(encode_document(run_document(recorded.run)), nl=False)
        else:
            say("\n".join(run_lines(recorded.run, terminal_columns())))
        return
    found = task_of(recorded, task)
    try:
        documents = {} if writes_json and not notebook and not wants_log else executed_notebooks(recorded, found)
    except CellMismatchError as error:
        raise UsageError(f"the executed notebook of {task} cannot be shown: {error}") from error
    document = documents[max(documents)] if documents else None
    if notebook:
        if document is None:
            raise UsageError(f"run {recorded.run.id} has no executed notebook of {task}")
        with click.open_file(notebook, "wb") as target:
            target.write(encode_notebook(document))
    if wants_log:
        _print_log(printed(recorded, found, document), recorded.run.id, found)
    elif writes_json:
        click.echo(encode_document(task_document(recorded.run, found.name)), nl=False)
    elif not notebook:
        say("\n".join(task_lines(recorded.run, found, document)))


def _unknown(project: Project, word: str, error: UnknownRunError) -> UnknownRunError:
    """Return the error of a word that names no run, with the command that was meant if it names a task."""
    from nbmake_dag.errors import UnknownRunError, UsageError  # noqa: PLC0415 - only for a mistake
    from nbmake_dag.runs.find import recorded_in, task_of  # noqa: PLC0415 - likewise

    try:
        name = task_of(recorded_in(project, "latest"), word).name
    except UsageError:
        return error
    return UnknownRunError(error.what, error.facts, f"it is a task: `nbdag show latest {quote(name)}` shows it")


def _check(task: str | None, notebook: str | None, *, wants_log: bool) -> None:
    """Refuse what no run could answer, before one is read."""
    from nbmake_dag.commands.targets import check_file  # noqa: PLC0415 - not for --help
    from nbmake_dag.errors import UsageError  # noqa: PLC0415 - likewise

    if (notebook or wants_log) and task is None:
        option, example = ("--notebook", "--notebook train.ipynb") if notebook else ("--log", "--log")
        raise UsageError(f"{option} needs a TASK", (), f"for example: nbdag show {example} train")
    if notebook and notebook != "-":
        check_file(notebook)


def _print_log(log: bytes, run: str, task: TaskRun) -> None:
    """Print what a task printed: as it is to a file, without control sequences to a terminal."""
    from nbmake_dag.present.text import coloured, terminal_columns  # noqa: PLC0415 - only where it is asked for

    if not log:
        source = f"; it did so in run {task.source.run_id}, if at all" if task.source else ""
        say(f"{task.name} printed nothing in run {run}{source}", err=True)
    elif terminal_columns() is None:
        click.echo(log, nl=False)
    else:
        for line in log.decode(errors="replace").splitlines():
            click.echo(coloured(line))
