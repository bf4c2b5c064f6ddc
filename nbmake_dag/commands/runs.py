"""`nbdag runs`."""

from __future__ import annotations

import os

import click

from nbmake_dag.commands.options import located, project_of


@click.command
@located
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="List so many.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(directory: str | None, file: str | None, count: int, *, as_json: bool) -> None:
    """List the recorded runs, newest first."""
    from nbmake_dag.commands.run_text import run_table  # noqa: PLC0415 - not for --help
    from nbmake_dag_reporting.documents import encode_document, head_document  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.runs import list_runs, read_run  # noqa: PLC0415 - likewise

    runs = project_of(directory, file).runs
    heads = [
        head if head.ended is not None else read_run(os.path.join(runs, head.id))
        for head in list_runs(runs)[:count]
    ]
    if as_json:
        click.echo(encode_document([head_document(head) for head in heads]), nl=False)
        return
    for line in run_table(heads):
        click.echo(line)
    if not heads:
        click.echo("no run is recorded; `nbdag build` makes one", err=True)
