"""`nbdag cache`."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

import click
from msgspec import Struct

from nbmake_dag.commands.helping import Group
from nbmake_dag.commands.options import allowing, as_json, located, project_of
from nbmake_dag.commands.settings import report_found, secrets_of, settings_of
from nbmake_dag.errors import NbdagError, UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag.present.units import in_words
from nbmake_dag_cache.verify import Fault
from nbmake_dag_reporting.documents import Format, described, encode_document
from nbmake_dag_reporting.secrets_scan import Secrets

if TYPE_CHECKING:
    from nbmake_dag.engine.state.secret_sweep import Searched

_LARGEST = 10
"""So many tasks and runs are listed."""


class CacheTaskDocument(Struct, frozen=True, kw_only=True):
    """What the results of one task take; a file that several need counts for the result used last."""

    task: Annotated[str, described("its name when the results were made")]
    records: Annotated[int, described("how many results are kept")]
    size: Annotated[int, described("what they take")]


class CacheRunDocument(Struct, frozen=True, kw_only=True):
    """What the cache keeps for one run; what several runs show counts for the newest."""

    run: Annotated[str, described("its identifier")]
    records: Annotated[int, described("how many results it shows that no newer run shows")]
    size: Annotated[int, described("what they and its other files in the cache take")]


class CacheInfoDocument(Struct, frozen=True, kw_only=True):
    """The content of the cache; sizes in bytes."""

    format: Format = 1
    path: Annotated[str, described("the folder")]
    records: Annotated[int, described("how many records it holds")]
    records_size: Annotated[int, described("their size")]
    blobs: Annotated[int, described("how many blobs it holds")]
    blobs_size: Annotated[int, described("their size")]
    max_size: Annotated[int, described("`[cache] max_size`")]
    oldest_use: Annotated[int | None, described("the oldest last use of a record, in seconds since the epoch")]
    runs: Annotated[int, described("how many runs are recorded")]
    keep_runs: Annotated[int, described("`[runs] keep`")]
    by_task: Annotated[tuple[CacheTaskDocument, ...], described("what takes the room, by task, the largest first")]
    by_run: Annotated[tuple[CacheRunDocument, ...], described("the same by run, the newest first")]
    shown_by_no_run: Annotated[int, described("what results and blobs take that no recorded run shows")]


class CacheFaultDocument(Struct, frozen=True, kw_only=True):
    """One file that is not as it should be."""

    path: Annotated[str, described("the file, relative to the folder of the cache")]
    fault: Annotated[Fault, described("what is wrong with it")]
    detail: Annotated[str, described("more, where there is more to say; words that may change")]


class CacheFaultsDocument(Struct, frozen=True, kw_only=True):
    """The faults of the cache."""

    format: Format = 1
    faults: Annotated[tuple[CacheFaultDocument, ...], described("sorted by path; none if the cache is sound")]


@click.group(cls=Group)
def command() -> None:
    """Inspect, check and trim the cache."""


@command.command
@located
@as_json("cache-info")
def info(directory: str | None, file: str | None, *, writes_json: bool) -> None:
    """Print the content, size and age of the cache."""
    from nbmake_dag.engine.state.gc_roots import run_folders, shown_by_each  # noqa: PLC0415 - not for --help
    from nbmake_dag_cache.last_used import LastUsed  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.usage import usage  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.verify import info as measure  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    settings = settings_of(project)
    held = measure(project.cache)
    used = LastUsed(project.cache).read().values()
    folders = run_folders(project.runs)
    runs = len(folders)
    taken = usage(project.cache, shown_by_each(folders))
    by_task = tuple(
        CacheTaskDocument(task=task, records=room.records, size=room.size)
        for task, room in sorted(taken.tasks.items(), key=lambda item: (-item[1].size, item[0]))
    )
    by_run = tuple(
        CacheRunDocument(run=run, records=room.records, size=room.size) for run, room in taken.runs.items()
    )
    if writes_json:
        document = CacheInfoDocument(
            path=project.cache,
            records=held.records,
            records_size=held.records_size,
            blobs=held.blobs,
            blobs_size=held.blobs_size,
            max_size=settings.cache.max_size,
            oldest_use=min(used, default=None),
            runs=runs,
            keep_runs=settings.keep_runs,
            by_task=by_task,
            by_run=by_run,
            shown_by_no_run=taken.rest.size,
        )
        click.echo(encode_document(document), nl=False)
        return
    limit = in_words(settings.cache.max_size)
    rows = {
        "cache": project.cache,
        "records": f"{held.records}, {in_words(held.records_size)}",
        "blobs": f"{held.blobs}, {in_words(held.blobs_size)}",
        "size": f"{in_words(held.records_size + held.blobs_size)} of {limit}",
        "oldest use": time.strftime("%Y-%m-%d %H:%M", time.localtime(min(used))) if used else "none",
        "runs": f"{runs} of {settings.keep_runs}",
    }
    for name, value in rows.items():
        click.echo(f"{name:<10}  {value}")
    _say_largest("by task", [(each.task, each.size) for each in by_task])
    largest = sorted(by_run, key=lambda each: each.size, reverse=True)
    _say_largest("by run", [*((each.run, each.size) for each in largest), ("in no run", taken.rest.size)])


def _say_largest(heading: str, sizes: list[tuple[str, int]]) -> None:
    for number, (name, size) in enumerate(sizes[:_LARGEST]):
        click.echo(f"{'' if number else heading:<10}  {name}, {in_words(size)}")
    if rest := sizes[_LARGEST:]:
        click.echo(f"{'':<10}  {len(rest)} more, {in_words(sum(size for _, size in rest))} (--json has all)")


@command.command
@located
@as_json("cache-verify")
def verify(directory: str | None, file: str | None, *, writes_json: bool) -> int:
    """Read everything in the cache, and list faults; nothing is changed.

    Exits with 0 without faults, with 1 otherwise. A damaged file costs a rebuild, never a wrong result: the
    next build detects it too.
    """
    from nbmake_dag_cache.verify import verify as find_faults  # noqa: PLC0415 - not for --help

    findings = find_faults(project_of(directory, file).cache)
    if writes_json:
        faults = tuple(CacheFaultDocument(path=it.path, fault=it.fault, detail=it.detail) for it in findings)
        click.echo(encode_document(CacheFaultsDocument(faults=faults)), nl=False)
        return 1 if findings else 0
    for finding in findings:
        fault = finding.fault.value.replace("_", " ")
        click.echo(": ".join(filter(None, (finding.path, fault, finding.detail))))
    click.echo(f"{len(findings)} faults" if len(findings) != 1 else "1 fault", err=True)
    return 1 if findings else 0


@command.command
@located
@click.option("--keep-used", is_flag=True, help="Keep only what the last run used or made, for a CI cache.")
@click.option("--drop-secrets", is_flag=True, help="Remove also what holds a secret, before others can read it.")
@click.option("--environments", is_flag=True, help="Remove Python environments that nothing used for 30 days.")
@allowing
def gc(
    directory: str | None,
    file: str | None,
    *,
    keep_used: bool,
    drop_secrets: bool,
    environments: bool,
    allow: tuple[str, ...],
) -> None:
    """Remove what [cache] and [runs] of pipeline.toml do not keep.

    The records used last stay, within `max_size` and `max_age`, and all that the last `[runs] keep` runs show.
    With --drop-secrets, for a CI system that saves the cache, results and runs that hold a secret go; it fails
    where one is left. With --environments, those of all projects of this user.
    """
    from nbmake_dag.engine.state.gc_roots import run_folders  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.lock import build_lock  # noqa: PLC0415 - not for --help
    from nbmake_dag.engine.state.rescued_files import put_damage_aside  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.retention import sweep, sweep_unused  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.secret_sweep import Searched  # noqa: PLC0415 - likewise

    project = project_of(directory, file)
    settings = settings_of(project)
    if keep_used and not run_folders(project.runs):
        raise UsageError("no run is recorded here, so it is not known which results are in use", (), "build first")
    with build_lock(project, wait=True, waiting=partial(click.echo, err=True)):
        put_damage_aside(project, lambda text: click.echo(f"warning: {text}", err=True))
        swept = (sweep_unused if keep_used else sweep)(project, settings)
        if swept.unread:
            click.echo(f"warning: {swept.unread}, so what it may use stays", err=True)
        held = _drop_secrets(project, secrets_of(project, allow)) if drop_secrets else Searched()
    cache = swept.cache
    click.echo(
        f"removed {cache.removed_records + held.records} records, {cache.removed_blobs + held.blobs} blobs"
        f" and {swept.removed_runs + held.runs} runs, {in_words(cache.freed + held.freed)};"
        f" {cache.kept_records - held.records} records and {cache.kept_blobs - held.blobs} blobs stay,"
        f" {in_words(cache.kept_size - held.freed)}"
    )
    if environments:
        _remove_environments()


def _remove_environments() -> None:
    from nbmake_dag.execute.environments.store import UNUSED_S, remove_unused  # noqa: PLC0415 - not for --help

    unused = remove_unused(UNUSED_S, time.time())
    which = "environment" if unused.count == 1 else "environments"
    click.echo(f"removed {unused.count} {which}, {in_words(unused.size)}")


def _drop_secrets(project: Project, secrets: Secrets) -> Searched:
    from nbmake_dag.engine.state.secret_sweep import drop_secrets  # noqa: PLC0415 - not for --help

    searched = drop_secrets(project, secrets)
    for what in searched.removed:
        click.echo(f"warning: removed {what}", err=True)
    report_found(secrets)
    if searched.left:
        raise NbdagError(f"the cache holds a secret: {searched.left[0]}", (), "remove the file, then its blob")
    return searched


@command.command
def keygen() -> None:
    """Create a key pair for signing shared records."""
    from nbmake_dag.engine.shared_cache.client import SIGNING_KEY, new_keys  # noqa: PLC0415 - not for --help

    public_key, private_key = new_keys()
    click.echo(f'public_keys = ["{public_key}"]')
    click.echo(f"{SIGNING_KEY}={private_key}")
    click.echo("put the first line into [cache] of pipeline.toml, the second into a secret of your CI", err=True)
