"""The summary of a run as JSON, from its record."""

from __future__ import annotations

import click
import msgspec

from nbmake_dag_reporting.runs import read_run
from nbmake_dag_reporting.summary import summarize


def write_summary(folder: str, path: str) -> None:
    """Write the summary of the run recorded in ``folder`` to a file, or to standard output for ``-``."""
    text = msgspec.json.format(msgspec.json.encode(summarize(read_run(folder))), indent=2).decode()
    if path == "-":
        click.echo(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
