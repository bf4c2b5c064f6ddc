"""`nbdag export`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from nbmake_dag.commands.options import located, project_of
from nbmake_dag.errors import UsageError
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.run import TaskRun
from nbmake_dag_reporting.secrets_scan import Secrets


@click.command
@click.argument("run", default="latest")
@located
@click.option("--bundle", metavar="FILE", help="Write one JSON file that `nbdag show` and `report` read.")
@click.option("-o", "--out", metavar="DIR", help="Write a tree of files into DIR, which must be new or empty.")
def command(directory: str | None, file: str | None, run: str, bundle: str | None, out: str | None) -> None:
    """Write a run with its artefacts and notebooks, to be kept or given away."""
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.commands.secrets import refused, secrets_of  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.settings import settings_of  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.bundle import BundleError, write_bundle  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets  # noqa: PLC0415 - likewise

    if not bundle and not out:
        raise UsageError("nothing to write", (), "name a file with --bundle, or a folder with -o")
    recorded = recorded_of(directory, file, run)
    secrets = Secrets(secrets_of(settings_of(project_of(directory, file))))
    for path, write in ((bundle, write_bundle), (out, _write_tree)):
        if path:
            try:
                _warn(write(path, recorded, secrets))
            except SecretFoundError as error:
                raise refused(f"{path} was not written", error) from error
            except BundleError as error:
                raise UsageError(str(error)) from error
            click.echo(path)


def _write_tree(out: str, recorded: Recorded, secrets: Secrets) -> tuple[str, ...]:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only where it is asked for

    from nbmake_dag.build.executed import executed_notebooks  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.notebook import CellMismatchError  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.tree import write_tree  # noqa: PLC0415 - likewise

    if os.path.lexists(out) and not (os.path.isdir(out) and not os.listdir(out)):
        raise UsageError(f"{out} is not an empty folder")

    def executed(task: TaskRun) -> Mapping[int, Mapping[str, Any]]:
        try:
            return executed_notebooks(recorded, task)
        except CellMismatchError as error:
            click.echo(f"warning: {task.name} has no notebook: {error}", err=True)
            return {}

    # its "js-default" preset lets no HTML and no links to scripts through
    return write_tree(out, recorded, executed, MarkdownIt("js-default").render, secrets)


def _warn(gone: tuple[str, ...]) -> None:
    if gone:
        click.echo(f"warning: {len(gone)} files are no longer in the cache: {', '.join(gone[:5])}", err=True)
