"""`nbdag show`."""

from __future__ import annotations

import click

from nbmake_dag.commands.options import located


@click.command
@click.argument("run", default="latest")
@click.argument("task", required=False)
@located
@click.option("--notebook", metavar="FILE", help="Write the executed notebook of TASK to FILE.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(
    directory: str | None, file: str | None, run: str, task: str | None, notebook: str | None, *, as_json: bool
) -> None:
    """Show what a run did and why, or all that is known of one of its tasks.

    RUN is an id, a prefix of one, `latest`, `latest~N`, a git ref, or the path of a bundle.
    """
    from nbmake_dag.build.executed import executed_notebooks  # noqa: PLC0415 - not for --help
    from nbmake_dag.commands.recorded import recorded_of, task_of  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.run_text import run_lines, task_lines  # noqa: PLC0415 - likewise
    from nbmake_dag.errors import UsageError  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import (  # noqa: PLC0415 - likewise
        encode_document,
        run_document,
        task_document,
    )
    from nbmake_dag_reporting.notebook import CellMismatchError, encode_notebook  # noqa: PLC0415 - likewise

    if notebook and task is None:
        raise UsageError(
            "--notebook needs a TASK", (), "for example: nbdag show latest train --notebook train.ipynb"
        )
    recorded = recorded_of(directory, file, run)
    if task is None:
        if as_json:
            click.echo(encode_document(run_document(recorded.run)), nl=False)
        else:
            click.echo("\n".join(run_lines(recorded.run)))
        return
    found = task_of(recorded, task)
    try:
        documents = {} if as_json and not notebook else executed_notebooks(recorded, found)
    except CellMismatchError as error:
        raise UsageError(f"the executed notebook of {task} cannot be shown: {error}") from error
    document = documents[max(documents)] if documents else None
    if notebook:
        if document is None:
            raise UsageError(f"run {recorded.run.id} has no executed notebook of {task}")
        with open(notebook, "wb") as target:
            target.write(encode_notebook(document))
    if as_json:
        click.echo(encode_document(task_document(recorded.run, found.name)), nl=False)
    elif not notebook:
        click.echo("\n".join(task_lines(recorded.run, found, document)))
