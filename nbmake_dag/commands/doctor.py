"""`nbdag doctor`."""

from __future__ import annotations

import click

from nbmake_dag.commands.options import located, project_of


@click.command
@click.argument("targets", nargs=-1, metavar="[TASK]...")
@located
def command(directory: str | None, file: str | None, targets: tuple[str, ...]) -> int:
    """Check a pipeline for what a build cannot know, and say what to change.

    Looked at are kernels, Ray, the file system, what git tracks and ignores, absolute paths in notebooks, files
    that tasks used without declaring them, and what is declared and not there: packages, files of globs. Each
    TASK, or else the quickest, is executed again in a temporary copy, to see whether it leaves the same bytes and
    reads its inputs. Exits with 1 if there is something to change.
    """
    from nbmake_dag.diagnosis.checks import examine  # noqa: PLC0415 - not for --help

    def say(task: str) -> None:
        click.echo(f"{task} is executed again in a temporary copy", err=True)

    found = 0
    for complaint in examine(project_of(directory, file), targets, say):
        found += 1
        click.echo(str(complaint))
    click.echo({0: "nothing to change", 1: "1 thing to change"}.get(found, f"{found} things to change"), err=True)
    return 1 if found else 0
