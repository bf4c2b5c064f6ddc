"""`nbdag explain`."""

from __future__ import annotations

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, profiled, project_of, say


@click.command(
    cls=Command,
    examples={
        "nbdag explain train": "why it will run",
        "nbdag explain train --against latest~3": "what changed since an earlier run",
    },
)
@click.argument("task")
@located
@profiled
@click.option("--against", metavar="RUN", help="Compare with the result in RUN, not with the last one.")
@as_json("explain")
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    task: str,
    against: str | None,
    *,
    writes_json: bool,
) -> None:
    """List the ingredients of TASK's result, and what changed since its last result."""
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - likewise
    from nbmake_dag.present.explain_document import explain_document, last_replay  # noqa: PLC0415 - not for --help
    from nbmake_dag.present.explain_text import lines  # noqa: PLC0415 - likewise
    from nbmake_dag.present.explanation import explained  # noqa: PLC0415 - likewise
    from nbmake_dag.present.text import plain, terminal_columns  # noqa: PLC0415 - likewise
    from nbmake_dag.present.verdict_text import WORDS  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    project = project_of(directory, file, profiles)
    found = explained(project, task, recorded_of(directory, file, against) if against else None)
    replayed = last_replay(project, found.task.name)
    if writes_json:
        click.echo(encode_document(explain_document(found, replayed)), nl=False)
        return
    say("\n".join(lines(found, terminal_columns())))
    if replayed is not None:
        why = f": {plain(replayed.why)}" if replayed.why else ""
        say(f"\nreplay {replayed.id} of run {replayed.run}: {WORDS[replayed.verdict]}{why}")
