"""`nbdag build`."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import click

from nbmake_dag.build.listener import Listener
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
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag.record.ci import on_github_actions


@click.command
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@click.option("-k", "--keep-going", is_flag=True, help="After a failure go on with what does not need it.")
@click.option("-j", "--jobs", type=click.IntRange(1, 4096), metavar="N", help="Processors to use; all by default.")
@click.option("-p", "overrides", multiple=True, callback=overrides, metavar="NAME=VALUE", help=PARAMETER)
@click.option("-B", "--force", is_flag=True, help="Run the targets, all if none is named.")
@click.option("--force-all", is_flag=True, help="Run them, and all that they need.")
@click.option("--accept", is_flag=True, help="Run nothing: take the targets' present outputs as up to date.")
@click.option("--only", is_flag=True, help="Take what the targets need as it is on disk.")
@click.option("--downstream", is_flag=True, help="Build also what needs the targets.")
@click.option("--tag", "tags", multiple=True, metavar="T", help="Build the tasks with this tag.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out these targets.")
@click.option(
    "--affected", metavar="[=BASE]", help="Build only what changed since BASE, by default the pull request's."
)
@click.option(
    "--executor", type=click.Choice(["auto", "ray", "inline"]), default="auto", show_default=True, help=EXECUTOR
)
@click.option("--ray-address", metavar="A", help="Run on the Ray cluster at this address.")
@click.option(
    "--cache",
    type=click.Choice(["off", "read", "write", "read-write"]),
    default="read-write",
    show_default=True,
    help="Use what is stored (read), store what is made (write).",
)
@click.option("--no-wait", is_flag=True, help="Fail with exit code 4 if another build works here.")
@click.option(
    "--output",
    type=click.Choice(["auto", "stream", "group", "errors", "none"]),
    default="auto",
    show_default=True,
    help=OUTPUT,
)
@click.option("-n", "--dry-run", is_flag=True, help="Say what would run, and why; change nothing.")
@click.option("--explain", is_flag=True, help="Say every reason why a task runs.")
@click.option(
    "--pdb", is_flag=True, help="Run one task at a time; run a notebook that failed again, in a debugger."
)
@served
@click.option("--summarize", metavar="[=PATH]", help="Write what happened as JSON, to PATH or standard output.")
def command(
    directory: str | None,
    file: str | None,
    output: Literal["auto", "stream", "group", "errors", "none"],
    summarize: str | None,
    *,
    dry_run: bool,
    explain: bool,
    pdb: bool,
    serve: int | None,
    **given: Any,
) -> int:
    """Bring targets up to date.

    A TARGET is a task, an instance, a glob, a tag or the path of an output; all tasks if none is given.
    """
    from nbmake_dag.build.run import build  # noqa: PLC0415 - not for --help
    from nbmake_dag.progress.display import make_display  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    if pdb:
        given["executor"] = "inline"
    given["targets"] = targets_of(project, directory, given["targets"])
    request = Request(wait=not given.pop("no_wait"), **given)
    if dry_run:
        about_a_run = (("--pdb", pdb), ("--serve", serve is not None), ("--summarize", summarize))
        _say_plan(project, request, [name for name, is_given in about_a_run if is_given])
        return 0
    display = make_display(output, sys.stderr, explains=explain)
    listeners: list[Listener] = [display]
    marked: AbstractContextManager[None] = nullcontext()
    if on_github_actions(os.environ):
        from nbmake_dag.progress.annotations import Annotations, complaints_marked  # noqa: PLC0415 - only there
        from nbmake_dag.progress.screen import Screen  # noqa: PLC0415 - likewise

        screen = Screen(sys.stderr, live=False, colour=False)
        listeners.insert(0, Annotations(screen, os.environ))
        marked = complaints_marked(screen, project)
    with views(project, serve) as live, marked:
        try:
            outcome = build(project, request, (*listeners, *live), waiting=display.said)
        finally:
            display.close()
        if summary := on_github_actions(os.environ) and os.environ.get("GITHUB_STEP_SUMMARY"):
            from nbmake_dag.commands.job_summary import write_job_summary  # noqa: PLC0415 - likewise
            from nbmake_dag.commands.report import declared_metrics  # noqa: PLC0415 - likewise

            write_job_summary(project, outcome.folder, declared_metrics(directory, file), summary)
        if summarize:
            from nbmake_dag.commands.summary import write_summary  # noqa: PLC0415 - only where it is asked for

            write_summary(outcome.folder, summarize)
        if pdb:
            from nbmake_dag.opening.debug import debug, failed_notebook  # noqa: PLC0415 - likewise

            if failed := failed_notebook(outcome):
                click.echo(f"running {failed} again, in a debugger", err=True)
                debug(project, request, failed, display.said)
        for view in live if outcome.signal is None else ():
            view.until_interrupted()
    return outcome.exit_code


def _say_plan(project: Project, request: Request, about_a_run: list[str]) -> None:
    """Say what would run; raises `UsageError` where it is combined with options about a run."""
    from nbmake_dag.build.session import plan_of  # noqa: PLC0415 - not for a build
    from nbmake_dag.commands.verdicts import describe_plan  # noqa: PLC0415 - likewise

    if about_a_run:
        named = about_a_run[0]
        raise UsageError(f"`--dry-run` runs nothing, and `{named}` is about what ran", (), f"leave out {named}")
    for line in describe_plan(plan_of(project, request)):
        click.echo(line)
