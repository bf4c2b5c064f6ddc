"""`nbdag watch`."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any, Literal

import click

from nbmake_dag.build.request import Request
from nbmake_dag.commands.options import (
    EXECUTOR,
    OUTPUT,
    PARAMETER,
    located,
    overrides,
    project_of,
    served,
    targets_of,
    views,
)
from nbmake_dag.progress.display import make_display
from nbmake_dag.watch.keys import terminal_keys
from nbmake_dag.watch.rebuilds import Rebuilds
from nbmake_dag.watch.watching import Watch


@click.command
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@click.option("-j", "--jobs", type=click.IntRange(1, 4096), metavar="N", help="Processors to use; all by default.")
@click.option("-p", "overrides", multiple=True, callback=overrides, metavar="NAME=VALUE", help=PARAMETER)
@click.option("--tag", "tags", multiple=True, metavar="T", help="Build the tasks with this tag.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out these targets.")
@click.option(
    "--executor", type=click.Choice(["auto", "ray", "inline"]), default="auto", show_default=True, help=EXECUTOR
)
@click.option("--ray-address", metavar="A", help="Run on the Ray cluster at this address.")
@click.option(
    "--output",
    type=click.Choice(["auto", "stream", "group", "errors", "none"]),
    default="auto",
    show_default=True,
    help=OUTPUT,
)
@click.option("--poll", is_flag=True, help="Look once a second, for file systems that tell of no changes.")
@served
def command(
    directory: str | None,
    file: str | None,
    output: Literal["auto", "stream", "group", "errors", "none"],
    *,
    poll: bool,
    serve: int | None,
    **given: Any,
) -> int:
    """Build, then build again what a saved file concerns.

    A task that fails keeps nothing else from being built. Ctrl-C ends it.
    """
    project = project_of(directory, file)
    given["targets"] = targets_of(project, directory, given["targets"])
    with (
        views(project, serve) as live,
        closing(Rebuilds(project, Request(keep_going=True, **given))) as rebuilds,
        terminal_keys() as keys,
    ):
        watch = Watch(
            rebuilds,
            keys,
            poll=poll,
            show=lambda: make_display(output, sys.stderr),
            listeners=live,
            say=lambda message: click.echo(message, err=True),
            complain=live[0].complain if live else lambda _: None,
        )
        return watch.run()
