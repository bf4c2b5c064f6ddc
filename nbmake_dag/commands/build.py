"""`nbdag build`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
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
    say,
    say_all,
    served,
    streamed,
    targets_of,
    views,
)
from nbmake_dag.engine.request import Request
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.executors import ONE_AT_A_TIME
from nbmake_dag.observe.ci import on_github_actions
from nbmake_dag.observe.project import Project
from nbmake_dag.record.run_events import Listener


def _summary_path(context: click.Context, _: click.Parameter, path: str | None) -> str | None:
    """Check a path before the build, not after it."""
    if path and not context.resilient_parsing:
        from nbmake_dag.commands.summary import check_summary  # noqa: PLC0415 - only where it is asked for

        check_summary(path)
    return path


def _junit_path(context: click.Context, _: click.Parameter, path: str | None) -> str | None:
    """Prepare a path before the build: a report that is there may be that of another one."""
    if path and not context.resilient_parsing:
        from nbmake_dag.commands.summary import prepare_junit  # noqa: PLC0415 - only where it is asked for

        prepare_junit(path)
    return path


@click.command(
    cls=Command,
    sections={
        "Which tasks": (
            "--tag",
            "--exclude",
            "--downstream",
            "--checks",
            "--only",
            "--affected",
            "--force",
            "--force-all",
            "--accept",
        ),
        "How they run": (
            "--dry-run",
            "--keep-going",
            "--jobs",
            "-p",
            "--profile",
            "--executor",
            "--ray-address",
            "--cache",
            "--no-wait",
            "--pdb",
        ),
        "Remote inputs": ("--recheck", "--offline", "--strict-remote", "--fetch-only"),
        "What is shown and written": (
            "--verbose",
            "--quiet",
            "--output",
            "--serve",
            "--summarize",
            "--json",
            "--json-lines",
            "--junit",
        ),
    },
    examples={
        "nbdag build": "bring everything up to date",
        "nbdag build -n": "what would run, and why",
        "nbdag build train --downstream": "a task, and all that depends on it",
        "nbdag build 'train[lr=0.1]' -B": "run one instance, up to date or not",
        "nbdag build models/best.onnx -p epochs=3": "what makes a file, with another parameter",
        "nbdag build --checks": "the checks, and what they read",
        "nbdag build -k --affected": "what a branch changed, whatever fails",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@profiled
@click.option("-k", "--keep-going", is_flag=True, help="Continue after a failure with independent tasks.")
@click.option("-j", "--jobs", type=click.IntRange(1, 4096), metavar="N", help="Processors to use; all by default.")
@click.option("-p", "overrides", multiple=True, callback=overrides, metavar="NAME=VALUE", help=PARAMETER)
@click.option("-B", "--force", is_flag=True, help="Run the targets, all if none is named.")
@click.option("--force-all", is_flag=True, help="Run them, and all tasks that they need.")
@click.option("--accept", is_flag=True, help="Run nothing: take the targets' present outputs as up to date.")
@click.option("--checks", is_flag=True, help="Build only the checks of the targets, and what they need.")
@click.option("--only", is_flag=True, help="Take what the targets need as it is on disk.")
@click.option("--downstream", is_flag=True, help="Also build the tasks that need the targets.")
@click.option("--tag", "tags", multiple=True, metavar="T", help="Build the tasks with this tag.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out these targets.")
@click.option(
    "--affected", metavar="[=BASE]", help="Build only what changed since BASE, by default the pull request's."
)
@executed
@click.option(
    "--cache",
    type=click.Choice(["off", "read", "write", "read-write"]),
    default="read-write",
    show_default=True,
    help="Use cached results (read), store new ones (write).",
)
@click.option("--recheck", is_flag=True, help="Ask all servers whether remote inputs changed.")
@click.option("--offline", is_flag=True, help="Ask no server: take the last copies.")
@click.option("--strict-remote", is_flag=True, help="Fail where a server cannot be asked, though there is a copy.")
@click.option("--fetch-only", is_flag=True, help="Run nothing: only fetch what the targets need.")
@click.option("--no-wait", is_flag=True, help="Fail with exit code 4 if another build is running here.")
@click.option(
    "--output",
    type=click.Choice(["auto", "stream", "group", "errors", "none"]),
    default="auto",
    show_default=True,
    help=OUTPUT,
)
@click.option("-n", "--dry-run", is_flag=True, help="Print what would run, and why; change nothing.")
@click.option(
    "-v", "--verbose", "--explain", "explain", is_flag=True, help="Print every reason and undeclared file."
)
@click.option("-q", "--quiet", is_flag=True, help="Print only what failed.")
@click.option(
    "--pdb", is_flag=True, help="Run one task at a time; run a notebook that failed again, in a debugger."
)
@served
@click.option(
    "--summarize",
    metavar="[=PATH]",
    callback=_summary_path,
    help="Write what happened as JSON, to PATH or standard output.",
)
@click.option(
    "--json", "writes_json", is_flag=True, help="With --dry-run: write JSON, as `nbdag schema status` describes."
)
@streamed
@click.option("--junit", metavar="FILE", callback=_junit_path, help="Write the tasks as JUnit XML, as tests.")
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

    A TARGET is a task, an instance, a glob, a tag, or the path of an output or a notebook. Without one it is all
    tasks.
    """
    from nbmake_dag.engine.build import build  # noqa: PLC0415 - not for --help
    from nbmake_dag.progress.display import make_display  # noqa: PLC0415 - likewise

    project = project_of(directory, file, given.pop("profiles"))
    if pdb:
        given["executor"] = ONE_AT_A_TIME
    given["targets"] = targets_of(project, directory, given["targets"], given["tags"])
    junit: str | None = given.pop("junit")
    fetch_only: bool = given.pop("fetch_only")
    quiet: bool = given.pop("quiet")
    json_lines: bool = given.pop("json_lines")
    writes_json: bool = given.pop("writes_json")
    request = Request(wait=not given.pop("no_wait"), executor_options=executor_options(given), **given)
    _refuse_what_contradicts(request, dry_run=dry_run, fetch_only=fetch_only)
    if fetch_only:
        return _fetch(project, request)
    if dry_run:
        serves, writes = (
            serve is not None,
            {"--summarize": summarize, "--junit": junit, "--json-lines": json_lines},
        )
        _refuse_with("--dry-run", {"--pdb": pdb, "--serve": serves, **writes})
        _say_plan(project, request, writes_json=writes_json)
        return 0
    if writes_json:
        hint = "add --dry-run; --json-lines writes events as they happen, --summarize what happened"
        raise UsageError("`--json` describes a plan, not a build", (), hint)
    _refuse_with("--json-lines", {"--pdb": json_lines and pdb, "--summarize": json_lines and summarize == "-"})
    _refuse_with("--verbose", {"--quiet": quiet and explain})
    display = make_display("errors" if quiet else output, sys.stderr, explains=explain, quiet=quiet)
    listeners: list[Listener] = [display]
    marked: AbstractContextManager[None] = nullcontext()
    if on_github_actions(os.environ):
        from nbmake_dag.progress.annotations import Annotations, complaints_marked  # noqa: PLC0415 - only there
        from nbmake_dag.progress.screen import Screen  # noqa: PLC0415 - likewise

        screen = Screen(sys.stderr, live=False, colour=False)
        listeners.insert(0, Annotations(screen, os.environ))
        marked = complaints_marked(screen, project)
    with event_streams(json_lines) as streams, views(project, serve) as live, marked:
        try:
            outcome = build(project, request, (*listeners, *streams, *live), waiting=display.print_notice)
        finally:
            display.close()
        _write_job_summary(project, outcome.folder)
        if summarize or junit:
            from nbmake_dag.commands.summary import write_asked  # noqa: PLC0415 - only where it is asked for

            write_asked(outcome.folder, summarize, junit)
        if pdb:
            from nbmake_dag.editor.debug import debug, failed_notebook  # noqa: PLC0415 - likewise

            if failed := failed_notebook(outcome):
                click.echo(f"running {failed} again, in a debugger", err=True)
                debug(project, request, failed, display.print_notice)
        for view in live if outcome.signal is None else ():
            view.until_interrupted()
    return outcome.exit_code


def _write_job_summary(project: Project, folder: str) -> None:
    """Describe the run on the page of the job, where this is one of GitHub Actions."""
    if summary := on_github_actions(os.environ) and os.environ.get("GITHUB_STEP_SUMMARY"):
        from nbmake_dag.commands.settings import declared_metrics  # noqa: PLC0415 - only there
        from nbmake_dag.present.job_summary import write_job_summary  # noqa: PLC0415 - likewise

        write_job_summary(project, folder, declared_metrics(project), summary)


def _refuse_with(option: str, others: Mapping[str, object]) -> None:
    """Raise `UsageError` if one of the ``others`` was given, with which ``option`` makes no sense."""
    for named, is_given in others.items():
        if is_given:
            raise UsageError(f"`{named}` cannot be combined with `{option}`", (), f"leave out {named}")


def _refuse_what_contradicts(request: Request, *, dry_run: bool, fetch_only: bool) -> None:
    if request.accept:
        runs = {"--force": request.force, "--force-all": request.force_all, "--checks": request.checks}
        _refuse_with("--accept", {"--dry-run": dry_run, **runs})
    if request.offline:
        _refuse_with("--offline", {"--recheck": request.recheck, "--fetch-only": fetch_only})
    if fetch_only:
        _refuse_with("--fetch-only", {"--dry-run": dry_run, "--accept": request.accept})


def _fetch(project: Project, request: Request) -> int:
    """Get the remote inputs ahead."""
    from nbmake_dag.engine.build import fetch  # noqa: PLC0415 - seldom wanted

    for line in fetch(project, request, waiting=partial(say, err=True)):
        say(line, err=True)
    return 0


def _say_plan(project: Project, request: Request, *, writes_json: bool) -> None:
    """Print what would run."""
    from nbmake_dag.engine.session import planned  # noqa: PLC0415 - not for a build
    from nbmake_dag.present.verdicts import describe_plan  # noqa: PLC0415 - likewise

    found = planned(project, request, tell=partial(say, err=True))
    if writes_json:
        from nbmake_dag.commands.status import write_plan  # noqa: PLC0415 - seldom wanted

        write_plan(project, found)
        return
    say_all(describe_plan(found.verdicts))
