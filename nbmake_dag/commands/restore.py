"""`nbdag restore`."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import located, profiled, project_of, targets_of
from nbmake_dag.errors import UsageError

if TYPE_CHECKING:
    from nbmake_dag.engine.restoring import Left, Restored
    from nbmake_dag.observe.project import Project
    from nbmake_dag_reporting.bundle import Recorded


@click.command(
    cls=Command,
    examples={
        "nbdag restore": "the outputs of the newest good run",
        "nbdag restore train --run v1.0": "of one task, as of a commit",
        "nbdag restore --run v1.0 --to old": "beside the present ones, to compare",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@profiled
@click.option("--run", metavar="RUN", help="Take this run; else the newest one that went well.")
@click.option("--to", metavar="DIR", help="Write into DIR, which must be new or empty, and not into the project.")
@click.option("--from", "url", metavar="URL", help="Look for bytes where a run was pushed, too.")
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    targets: tuple[str, ...],
    run: str | None,
    to: str | None,
    url: str | None,
) -> int:
    """Put outputs back as a recorded run left them, without running anything.

    Their bytes come from the cache, the shared cache, the run's bundle, or where `nbdag runs push --outputs` put
    them, and are verified. Files that nbdag did not make are saved first. No task counts as up to date for it.
    """
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.engine.restoring import left_by  # noqa: PLC0415 - likewise
    from nbmake_dag.runs.find import newest_good  # noqa: PLC0415 - likewise

    if run is None:
        recorded = newest_good(project_of(directory, file, profiles))
    else:
        recorded = recorded_of(directory, file, run, good=True)
    if to is not None:
        done = _restore_into(_project(directory, file, profiles), to, recorded, left_by(recorded, targets), url)
    else:
        project = project_of(directory, file, profiles)
        left = left_by(recorded, targets_of(project, directory, targets))
        done = _restore_here(project, recorded, left, url, may_leave_out=not targets)
    return _report(done, to)


def _project(directory: str | None, file: str | None, profiles: tuple[str, ...]) -> Project | None:
    """Find the project; a bundle is restored without one."""
    try:
        return project_of(directory, file, profiles)
    except UsageError:
        return None


def _restore_into(project: Project | None, to: str, recorded: Recorded, left: Left, url: str | None) -> Restored:
    from nbmake_dag.commands.settings import settings_of  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.targets import check_folder  # noqa: PLC0415 - likewise
    from nbmake_dag.core.model import Settings  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.restoring import Supply, places_of, restore_into  # noqa: PLC0415 - likewise
    from nbmake_dag_cache.blobs import BlobStore  # noqa: PLC0415 - likewise

    check_folder(to)
    settings = settings_of(project) if project else Settings(name="")
    with ExitStack() as ended:
        cache = project.cache if project else ended.enter_context(tempfile.TemporaryDirectory(prefix="nbdag-"))
        supply = Supply(
            blobs=BlobStore(cache),
            recorded=recorded,
            places=places_of(project, settings, url),
            max_size=settings.cache.max_size,
        )
        return restore_into(to, left, supply)


def _restore_here(
    project: Project, recorded: Recorded, left: Left, url: str | None, *, may_leave_out: bool
) -> Restored:
    from nbmake_dag.engine.restoring import restore_here  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.lock import build_lock  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.rescued_files import (  # noqa: PLC0415 - likewise
        how_to_recover,
        put_damage_aside,
    )

    with build_lock(project, wait=True, waiting=partial(click.echo, err=True)):
        put_damage_aside(project, lambda text: click.echo(f"warning: {text}", err=True))
        done = restore_here(project, recorded, left, url, may_leave_out=may_leave_out)
    for rescued in done.rescued:
        click.echo(how_to_recover(project, rescued), err=True)
    return done


def _report(done: Restored, to: str | None) -> int:
    """Print what was done; return 1 where something is not in place."""
    for path in done.restored:
        click.echo(path)
    for name, why in done.lost.items():
        click.echo(f"warning: {name}: {why}", err=True)
    for path in done.undeclared:
        click.echo(f"warning: {path} is not restored: no task declares it now; --to DIR writes it there", err=True)
    count = len(done.restored)
    outputs = "1 output" if count == 1 else f"{count} outputs"
    place = f" into {to}" if to is not None else ""
    others = f"; {done.in_place} were in place" if done.in_place else ""
    click.echo(f"restored {outputs} of run {done.run_id}{place}{others}", err=True)
    return int(bool(done.lost))
