"""`nbdag explain`."""

from __future__ import annotations

import click

from nbmake_dag.commands.options import located, project_of


@click.command
@click.argument("task")
@located
@click.option("--against", metavar="RUN", help="Compare with the result in RUN, not with the last one.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(directory: str | None, file: str | None, task: str, against: str | None, *, as_json: bool) -> None:
    """List the ingredients of TASK's result, and what changed since its last result."""
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - likewise
    from nbmake_dag.present.explain_text import document, lines  # noqa: PLC0415 - not for --help
    from nbmake_dag.present.explanation import explained  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    found = explained(project, task, recorded_of(directory, file, against) if against else None)
    if as_json:
        click.echo(encode_document(document(found)), nl=False)
    else:
        click.echo("\n".join(lines(found)))
