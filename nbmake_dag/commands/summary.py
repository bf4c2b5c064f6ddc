"""What `nbdag build` writes of its run where it is asked to: a summary as JSON, and its tasks as JUnit XML."""

from __future__ import annotations

import click

from nbmake_dag.commands.targets import SUMMARY, discard_file, prepare_file
from nbmake_dag.errors import naming
from nbmake_dag.present.junit import BEGINNING, junit_xml
from nbmake_dag_reporting.documents import encode_document, summary_document
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import RunNotFoundError, read_run


def check_summary(path: str) -> None:
    """Refuse a path at which there is something else than a summary."""
    if path != "-":
        prepare_file(path, SUMMARY)


def write_asked(folder: str, summary: str | None, junit: str | None) -> None:
    """Write what was asked for of the run recorded in ``folder``."""
    try:
        run = read_run(folder)
    except RunNotFoundError:
        click.echo("warning: there is no summary: the run could not be recorded", err=True)
        return
    if summary:
        _write_summary(run, summary)
    if junit:
        with naming(junit), open(junit, "wb") as file:
            file.write(junit_xml(run))


def _write_summary(run: Run, path: str) -> None:
    """Write a summary to a file, or to standard output for ``-``."""
    text = encode_document(summary_document(run))
    if path == "-":
        click.echo(text, nl=False)
        return
    with naming(path), open(path, "wb") as file:
        file.write(text)


def prepare_junit(path: str) -> None:
    """Make room for a report: one of an earlier build is removed, as it would pass for that of this one."""
    prepare_file(path, BEGINNING)
    discard_file(path)
