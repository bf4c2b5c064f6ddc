"""`nbdag schema`."""

from __future__ import annotations

import json

import click


@click.command
@click.argument("document", type=click.Choice(["pipeline", "status"]), default="pipeline")
def command(document: str) -> None:
    """Print the JSON Schema of pipeline.toml, for completion and checks in editors.

    With `status` that of what `nbdag status --json` writes.
    """
    from nbmake_dag.config.pipeline_file import json_schema  # noqa: PLC0415 - not for --help

    if document == "status":
        from nbmake_dag.present.status_document import status_schema  # noqa: PLC0415 - only where it is asked for

        click.echo(json.dumps(status_schema(), indent=2))
        return
    click.echo(json.dumps(json_schema(), indent=2))
