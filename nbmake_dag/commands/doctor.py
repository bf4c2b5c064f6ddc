"""`nbdag doctor`."""

from __future__ import annotations

from functools import partial

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, profiled, project_of, say
from nbmake_dag.errors import Complaint


@click.command(
    cls=Command,
    examples={
        "nbdag doctor": "check everything, and run the quickest task again",
        "nbdag doctor train": "run this one again",
    },
)
@click.argument("targets", nargs=-1, metavar="[TASK]...")
@located
@profiled
@as_json("doctor")
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    targets: tuple[str, ...],
    *,
    writes_json: bool,
) -> int:
    """Check a pipeline for faults that a build cannot see, and print what to change.

    It says which nbdag, Python, Ray and kernels are in use. It checks kernels, Ray, the file system, what git
    tracks and ignores, absolute paths in notebooks, undeclared files that tasks used, and missing packages and
    files of globs. Each TASK, or else the quickest, is executed again in a temporary copy, to see whether it
    writes the same bytes and needs its inputs; what looks wrong is tried a few times more. Exits with 1 if there
    is something to change.
    """
    from nbmake_dag.doctor.checks import doctor_document, examine  # noqa: PLC0415 - not for --help
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    found: list[Complaint] = []
    for complaint in examine(project_of(directory, file, profiles), targets, partial(say, err=True)):
        found.append(complaint)
        if not writes_json:
            say(str(complaint))
    if writes_json:
        click.echo(encode_document(doctor_document(found)), nl=False)
    count = len(found)
    click.echo({0: "nothing to change", 1: "1 thing to change"}.get(count, f"{count} things to change"), err=True)
    return 1 if found else 0
