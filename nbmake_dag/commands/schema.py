"""`nbdag schema`."""

from __future__ import annotations

import json

import click


@click.command
def command() -> None:
    """Print the JSON Schema of pipeline.toml, by which editors complete and check it."""
    from nbmake_dag.core.config import json_schema  # noqa: PLC0415 - not for --help

    click.echo(json.dumps(json_schema(), indent=2))
