"""`nbdag bisect`."""

from __future__ import annotations

import os
from typing import Any

import click

from nbmake_dag.commands.asking import asking, limited
from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, profiled, project_of, say


@click.command(
    cls=Command,
    examples={
        "nbdag bisect accuracy": "since the last commit whose run had a better one",
        "nbdag bisect report.csv --good v1.0 --bad main -j 3": "between two commits, three at once",
        "nbdag bisect train:loss --dry-run": "how many commits would have to be executed",
    },
)
@click.argument("question", metavar="METRIC|OUTPUT|CHECK")
@located
@profiled
@click.option("--good", default="", metavar="REF", help="A commit before the change; by default runs tell.")
@click.option("--bad", default="", metavar="REF", help="A commit after it; by default HEAD.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Commits to try at once."
)
@asking
@as_json("bisect")
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    *,
    dry_run: bool,
    yes: bool,
    writes_json: bool,
    **given: Any,
) -> int:
    """Find the commit at which a metric, an output or a check changed.

    Runs of commits count first, own and pulled; what they do not tell is tried, by the rules of `git bisect`, in
    private copies that read the cache. A metric of several tasks is named TASK:METRIC. Exits with 1 if commits
    that cannot be tried leave several.
    """
    from nbmake_dag.commands.settings import declared_metrics  # noqa: PLC0415 - not for --help
    from nbmake_dag.present.bisect_text import bisect_document, bisected_lines, seen_line  # noqa: PLC0415 - likewise
    from nbmake_dag.present.diff_text import text_lines  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.bisect import Asked, Bisection  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.environment import redacted, redactor_of  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.known_runs import pipeline_of  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    project = project_of(directory, file, profiles)
    pipeline = pipeline_of(project)
    redactor = redactor_of(pipeline, os.environ)
    search = Bisection(
        project,
        pipeline,
        Asked(**given),
        declared_metrics(project),
        approve=lambda cost: limited(cost.seconds, f"about {cost.trials} commits", yes=yes),
        tell=lambda seen: say(redactor.text(seen_line(seen, search.history)), err=True),
    )
    found = search.plan() if dry_run else search.run()
    if writes_json:
        document = redacted(bisect_document(found, search.history), redactor)
        click.echo(encode_document(document), nl=False)
    else:
        for line in bisected_lines(found, search.history):
            say(redactor.text(line))
        if differences := search.comparison(found):
            say("")
            for line in text_lines(differences):
                say(line)
    return int(len(found.first) > 1)
