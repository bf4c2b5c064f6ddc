"""`nbdag runs`."""

from __future__ import annotations

import os
from contextlib import suppress

import click
from msgspec.structs import replace

from nbmake_dag.commands.helping import Group
from nbmake_dag.commands.options import allowing, as_json, located, project_of, say
from nbmake_dag.errors import InfrastructureError, UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.secrets_scan import Secrets


@click.group(cls=Group, invoke_without_command=True)
@located
@click.option("-n", "count", type=click.IntRange(1), default=20, show_default=True, help="List so many.")
@click.option(
    "--kind",
    type=click.Choice(("build", "replay", "bisect", "blame", "all")),
    default="build",
    show_default=True,
    help="List builds, the trials of one of these commands, or all.",
)
@as_json("runs")
@click.pass_context
def command(
    context: click.Context, directory: str | None, file: str | None, count: int, kind: str, *, writes_json: bool
) -> None:
    """List the recorded runs and the pulled ones, newest first; or share them with other machines."""
    before_directory, before_file = context.obj
    context.obj = (directory or before_directory, file or before_file)
    if context.invoked_subcommand is None:
        _list(project_of(None, None), count, kind, writes_json=writes_json)


@command.command
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@located
@click.option("--to", "url", metavar="URL", help="A folder, or a URL that fsspec knows; else [cache] remote.")
@click.option("--outputs", is_flag=True, help="Put the outputs of the tasks there too, for `nbdag restore`.")
@allowing
def push(
    directory: str | None,
    file: str | None,
    runs: tuple[str, ...],
    url: str | None,
    allow: tuple[str, ...],
    *,
    outputs: bool,
) -> None:
    """Put the records of runs, the latest if none is named, to a place where other machines can pull them.

    Each becomes one file with all its content. Existing files are not changed.
    """
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.commands.settings import refused, report_found, secrets_of  # noqa: PLC0415 - likewise
    from nbmake_dag.runs.exchange import push as send  # noqa: PLC0415 - likewise
    from nbmake_dag.runs.places import RunsFolder  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.bundle import BundleError  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.secrets_scan import SecretFoundError  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    to = _remote(project, url, "--to")
    place = RunsFolder(to)
    recorded = [recorded_of(directory, file, ref) for ref in runs or ("latest",)]
    secrets = secrets_of(project, allow)
    pushed: list[str] = []
    held: SecretFoundError | None = None
    for each in recorded:
        try:
            if outputs:
                _push_outputs(project, to, each, secrets)
            pushed += send(place, [each], secrets)
        except SecretFoundError as error:
            held = held or error
        except BundleError as error:
            raise UsageError(str(error)) from error
    for run_id in pushed:
        click.echo(run_id)
    report_found(secrets)
    if held is not None:
        raise refused("a run was not pushed", held) from held
    click.echo(f"pushed {len(pushed)}, {len(recorded) - len(pushed)} were there", err=True)


@command.command
@located
@click.option("--from", "url", metavar="URL", help="A folder, or a URL that fsspec knows; else [cache] remote.")
def pull(directory: str | None, file: str | None, url: str | None) -> None:
    """Get the records of runs that other machines pushed; `nbdag report` shows them, and RUN can name them."""
    from nbmake_dag.runs.exchange import pull as get  # noqa: PLC0415 - not for --help
    from nbmake_dag.runs.places import RunsFolder  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    got = get(RunsFolder(_remote(project, url, "--from")), project.pulled)
    for run_id in got.new:
        click.echo(run_id)
    for what in got.refused:
        click.echo(f"warning: refused {what}", err=True)
    runs = "run" if len(got.new) == 1 else "runs"
    click.echo(f"pulled {len(got.new)} {runs}; {got.known} were already here", err=True)


def _push_outputs(project: Project, url: str, recorded: Recorded, secrets: Secrets) -> None:
    from nbmake_dag.runs.exchange import OUTPUTS, push_outputs  # noqa: PLC0415 - not for --help
    from nbmake_dag_cache.blobs import BlobStore  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.depot import Depot  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.remote import Remote, RemoteError  # noqa: PLC0415 - likewise

    try:
        gone = push_outputs(Depot(Remote(url), (OUTPUTS,)), recorded, BlobStore(project.cache), secrets)
    except RemoteError as error:
        raise InfrastructureError(f"{url} cannot be used: {error}") from error
    if gone:
        click.echo(f"warning: {gone} files of run {recorded.run.id} are no longer in the cache", err=True)


def _list(project: Project, count: int, kind: str, *, writes_json: bool) -> None:
    from nbmake_dag.present.run_text import run_table  # noqa: PLC0415 - likewise
    from nbmake_dag.present.text import terminal_columns  # noqa: PLC0415 - likewise
    from nbmake_dag.runs.find import pulled_runs, run_under_way  # noqa: PLC0415 - not for --help
    from nbmake_dag_reporting.documents import encode_document, runs_document  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.runs import RunNotFoundError, list_runs, read_run  # noqa: PLC0415 - likewise

    tried = os.path.join(project.trials, "runs")
    folders = [(project.runs, kind in {"build", "all"}), (tried, kind != "build")]
    own = {head.id: (head, folder) for folder, is_meant in folders if is_meant for head in list_runs(folder)}
    heads = [head for head, _ in own.values() if kind in {"all", head.kind or "build"}]
    if kind in {"build", "all"}:
        heads += [recorded.run for recorded in pulled_runs(project) if recorded.run.id not in own]
    heads = sorted(heads, key=lambda head: head.id, reverse=True)[:count]
    for place, head in enumerate(heads):
        if head.ended is None and head.id in own:
            with suppress(RunNotFoundError):
                heads[place] = read_run(os.path.join(own[head.id][1], head.id))
    running = run_under_way(project)
    heads = [replace(head, result="running") if head.id == running else head for head in heads]
    if writes_json:
        click.echo(encode_document(runs_document(heads)), nl=False)
        return
    for line in run_table(heads, terminal_columns()):
        say(line)
    if not heads:
        what, command = ("run", "build") if kind in {"build", "all"} else (kind, kind)
        click.echo(f"no {what} is recorded; `nbdag {command}` makes one", err=True)


def _remote(project: Project, url: str | None, option: str) -> str:
    from nbmake_dag.commands.settings import settings_of  # noqa: PLC0415 - not for --help

    if url:
        return url
    remote = settings_of(project).cache.remote
    if remote is None:
        raise UsageError("no shared place is configured", (), f"name one with {option}, or with [cache] remote")
    return remote if "://" in remote else project.absolute(remote)
