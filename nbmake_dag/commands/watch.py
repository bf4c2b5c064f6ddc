"""`nbdag watch`."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any, Literal

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import (
    OUTPUT,
    PARAMETER,
    event_streams,
    executed,
    executor_options,
    located,
    overrides,
    profiled,
    project_of,
    served,
    streamed,
    targets_of,
    views,
)
from nbmake_dag.engine.request import Request
from nbmake_dag.progress.display import make_display
from nbmake_dag.watch.keys import terminal_keys
from nbmake_dag.watch.rebuilds import Rebuilds
from nbmake_dag.watch.watching import Watch


@click.command(
    cls=Command,
    sections={
        "Which tasks": (
            "--tag",
            "--exclude",
        ),
        "How they run": (
            "--jobs",
            "-p",
            "--profile",
            "--executor",
            "--ray-address",
            "--poll",
        ),
        "What is shown": (
            "--output",
            "--serve",
            "--json-lines",
        ),
    },
    examples={
        "nbdag watch": "build whatever a saved file concerns",
        "nbdag watch report --serve": "one task and what it needs, with a live view in a browser",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@profiled
@click.option("-j", "--jobs", type=click.IntRange(1, 4096), metavar="N", help="Processors to use; all by default.")
@click.option("-p", "overrides", multiple=True, callback=overrides, metavar="NAME=VALUE", help=PARAMETER)
@click.option("--tag", "tags", multiple=True, metavar="T", help="Build the tasks with this tag.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out these targets.")
@executed
@click.option(
    "--output",
    type=click.Choice(["auto", "stream", "group", "errors", "none"]),
    default="auto",
    show_default=True,
    help=OUTPUT,
)
@click.option("--poll", is_flag=True, help="Check once a second, for file systems that report no changes.")
@streamed
@served
def command(
    directory: str | None,
    file: str | None,
    output: Literal["auto", "stream", "group", "errors", "none"],
    *,
    poll: bool,
    json_lines: bool,
    serve: int | None,
    **given: Any,
) -> int:
    """Build, then build again whenever a saved file affects a task.

    Tasks that do not depend on a failed one are still built. Ctrl-C ends it.
    """
    project = project_of(directory, file, given.pop("profiles"))
    given["targets"] = targets_of(project, directory, given["targets"], given.get("tags", ()))
    request = Request(keep_going=True, executor_options=executor_options(given), **given)
    with (
        event_streams(json_lines) as streams,
        views(project, serve) as live,
        closing(Rebuilds(project, request)) as rebuilds,
        terminal_keys() as keys,
    ):

        def complain(complaint: str) -> None:
            for stream in streams:
                stream.complain(complaint)
            for view in live:
                view.complain(complaint)

        watch = Watch(
            rebuilds,
            keys,
            poll=poll,
            show=lambda: make_display(output, sys.stderr, repeats=True),
            listeners=(*streams, *live),
            say=lambda message: click.echo(message, err=True),
            complain=complain,
        )
        return watch.run()
