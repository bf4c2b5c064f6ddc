"""`nbdag cache`."""

from __future__ import annotations

import time
from functools import partial

import click

from nbmake_dag.commands.options import located, project_of
from nbmake_dag.commands.settings import settings_of
from nbmake_dag.commands.sizes import in_words
from nbmake_dag.errors import UsageError


@click.group
def command() -> None:
    """Look at the cache, check it, and remove from it what is not needed."""


@command.command
@located
def info(directory: str | None, file: str | None) -> None:
    """Say what the cache holds, and how old it is."""
    from nbmake_dag.build.shown import run_folders  # noqa: PLC0415 - not for --help
    from nbmake_dag_cache.last_used import LastUsed  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.verify import info as measure  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    pipeline = settings_of(project)
    held = measure(project.cache)
    used = LastUsed(project.cache).read().values()
    limit = in_words(pipeline.cache.max_size)
    rows = {
        "cache": project.cache,
        "records": f"{held.records}, {in_words(held.records_size)}",
        "blobs": f"{held.blobs}, {in_words(held.blobs_size)}",
        "size": f"{in_words(held.records_size + held.blobs_size)} of {limit}",
        "oldest use": time.strftime("%Y-%m-%d %H:%M", time.localtime(min(used))) if used else "none",
        "runs": f"{len(run_folders(project.runs))} of {pipeline.keep_runs}",
    }
    for name, value in rows.items():
        click.echo(f"{name:<10}  {value}")


@command.command
@located
def verify(directory: str | None, file: str | None) -> int:
    """Read everything in the cache, and list what is wrong with it; nothing is changed.

    Exits with 0 if all is sound, with 1 if something is not. What is damaged costs a rebuild, never a wrong
    result: the next build notices it too.
    """
    from nbmake_dag_cache.verify import verify as find_faults  # noqa: PLC0415 - not for --help

    findings = find_faults(project_of(directory, file).cache)
    for finding in findings:
        click.echo(": ".join(filter(None, (finding.path, finding.fault.value, finding.detail))))
    click.echo(f"{len(findings)} faults" if len(findings) != 1 else "1 fault", err=True)
    return 1 if findings else 0


@command.command
@located
@click.option("--keep-used", is_flag=True, help="Keep only what the last run used or made, for CI to carry.")
def gc(directory: str | None, file: str | None, *, keep_used: bool) -> None:
    """Remove what [cache] and [runs] of pipeline.toml do not keep.

    The records used last stay, within `max_size` and `max_age`, and all that the last `[runs] keep` runs show.
    """
    from nbmake_dag.build.lock import build_lock  # noqa: PLC0415 - not for --help
    from nbmake_dag.build.retention import sweep, sweep_unused  # noqa: PLC0415 - likewise
    from nbmake_dag.build.shown import run_folders  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    pipeline = settings_of(project)
    if keep_used and not run_folders(project.runs):
        raise UsageError("no run is recorded here, so nothing is known to be used", (), "build first")
    with build_lock(project, wait=True, waiting=partial(click.echo, err=True)):
        swept = (sweep_unused if keep_used else sweep)(project, pipeline)
    cache = swept.cache
    click.echo(
        f"removed {cache.removed_records} records, {cache.removed_blobs} blobs and {swept.removed_runs} runs,"
        f" {in_words(cache.freed)}; {cache.kept_records} records and {cache.kept_blobs} blobs stay,"
        f" {in_words(cache.kept_size)}"
    )


@command.command
def keygen() -> None:
    """Make a pair of keys with which shared records are signed."""
    from nbmake_dag.build.share import SIGNING_KEY, new_keys  # noqa: PLC0415 - not for --help

    public_key, private_key = new_keys()
    click.echo(f'public_keys = ["{public_key}"]')
    click.echo(f"{SIGNING_KEY}={private_key}")
    click.echo("the first line is for [cache] of pipeline.toml, the second a secret of your CI", err=True)
