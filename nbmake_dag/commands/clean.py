"""`nbdag clean`."""

from __future__ import annotations

import sys
from functools import partial

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import located, profiled, project_of, targets_of
from nbmake_dag.errors import UsageError


@click.command(
    cls=Command,
    examples={
        "nbdag clean": "remove the outputs of all tasks",
        "nbdag clean train": "of one",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@profiled
@click.option("--cache", is_flag=True, help="Also remove the cache, and the state of this checkout.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    targets: tuple[str, ...],
    *,
    cache: bool,
    yes: bool,
) -> None:
    """Remove the outputs of targets, all if none is named.

    The next build restores outputs that are in the cache. Files that nbdag did not make are saved in the cache,
    and the command that restores them is printed.
    """
    from nbmake_dag.engine.clean import clean_cache, clean_outputs  # noqa: PLC0415 - not for --help
    from nbmake_dag.engine.state.lock import build_lock  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.rescued_files import (  # noqa: PLC0415 - likewise
        how_to_recover,
        put_damage_aside,
    )

    project = project_of(directory, file, profiles)
    if cache and targets:
        raise UsageError("the cache is removed as a whole", (), "leave out the targets, or leave out --cache")
    if cache and not yes:
        _ask(project.cache)
    with build_lock(project, wait=True, waiting=partial(click.echo, err=True)):
        put_damage_aside(project, lambda text: click.echo(f"warning: {text}", err=True))
        cleaned = clean_outputs(project, targets_of(project, directory, targets))
        if cache:
            clean_cache(project)
    for path in cleaned.removed:
        click.echo(path)
    for rescued in cleaned.rescued:
        click.echo(how_to_recover(project, rescued), err=True)
    removed = "1 output" if len(cleaned.removed) == 1 else f"{len(cleaned.removed)} outputs"
    click.echo(f"removed {removed}{' and the cache' if cache else ''}", err=True)


def _ask(place: str) -> None:
    """Ask for confirmation to remove the cache; raises `UsageError` without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the cache is not removed without confirmation on a terminal", (("cache", place),), "add --yes"
        )
    click.confirm(
        f"Remove {place}? The next build runs everything, and earlier runs lose their notebooks and files.",
        abort=True,
        err=True,
    )
