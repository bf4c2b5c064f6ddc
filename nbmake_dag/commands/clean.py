"""`nbdag clean`."""

from __future__ import annotations

import sys
from functools import partial

import click

from nbmake_dag.commands.options import located, project_of, targets_of
from nbmake_dag.errors import UsageError


@click.command
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@click.option("--cache", is_flag=True, help="Remove the cache too, and all that was learned of this checkout.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(directory: str | None, file: str | None, targets: tuple[str, ...], *, cache: bool, yes: bool) -> None:
    """Remove the outputs of targets, all if none is named.

    The next build puts back those that the cache has. Files that nbdag did not make are kept in the cache, and
    the command that gets them back is shown.
    """
    from nbmake_dag.build.clean import clean_cache, clean_outputs  # noqa: PLC0415 - not for --help
    from nbmake_dag.build.kept import way_back  # noqa: PLC0415 - likewise
    from nbmake_dag.build.lock import build_lock  # noqa: PLC0415 - likewise
    from nbmake_dag.execute.aside import recover  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    if cache and targets:
        raise UsageError("the cache is removed as a whole", (), "leave out the targets, or leave out --cache")
    if cache and not yes:
        _ask(project.cache)
    with build_lock(project, wait=True, waiting=partial(click.echo, err=True)):
        recover(project.state)
        cleaned = clean_outputs(project, targets_of(project, directory, targets))
        if cache:
            clean_cache(project)
    for path in cleaned.removed:
        click.echo(path)
    for kept in cleaned.kept:
        click.echo(way_back(project, kept), err=True)
    removed = "1 output" if len(cleaned.removed) == 1 else f"{len(cleaned.removed)} outputs"
    click.echo(f"removed {removed}{' and the cache' if cache else ''}", err=True)


def _ask(place: str) -> None:
    """Make sure that the cache is to go; raises `UsageError` where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nobody can be asked whether the cache is to go", (("cache", place),), "add --yes")
    click.confirm(
        f"Remove {place}? The next build runs everything, and earlier runs lose their notebooks and files.",
        abort=True,
        err=True,
    )
