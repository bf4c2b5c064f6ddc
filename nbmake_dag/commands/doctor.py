"""`nbdag doctor`."""

from __future__ import annotations

import click

from nbmake_dag.commands.options import located, project_of


@click.command
@click.argument("targets", nargs=-1, metavar="[TASK]...")
@located
def command(directory: str | None, file: str | None, targets: tuple[str, ...]) -> int:
    """Check a pipeline for faults that a build cannot see, and print what to change.

    It checks kernels, Ray, the file system, what git tracks and ignores, absolute paths in notebooks, undeclared
    files that tasks used, and missing packages and files of globs. Each
    TASK, or else the quickest, is executed again in a temporary copy, to see whether it writes the same bytes and
    reads its inputs. Exits with 1 if there is something to change.
    """
    from nbmake_dag.doctor.checks import examine  # noqa: PLC0415 - not for --help

    def say(task: str) -> None:
        click.echo(f"{task} is executed again in a temporary copy", err=True)

    found = 0
    for complaint in examine(project_of(directory, file), targets, say):
        found += 1
        click.echo(str(complaint))
    click.echo({0: "nothing to change", 1: "1 thing to change"}.get(found, f"{found} things to change"), err=True)
    return 1 if found else 0
