"""`nbdag blame`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from nbmake_dag.commands.asking import add_to_summary, asking, limited
from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, project_of, say

if TYPE_CHECKING:
    from nbmake_dag.observe.project import Project
    from nbmake_dag.referee.question import Metric
    from nbmake_dag_reporting.bundle import Recorded


@click.command(
    cls=Command,
    examples={
        "nbdag blame accuracy": "why the latest run has another one than the last that differs",
        "nbdag blame train:loss --from main --to HEAD": "between the runs of two commits",
        "nbdag blame accuracy --times 5": "each mix five times: for metrics that vary by chance",
    },
)
@click.argument("metric", metavar="METRIC")
@located
@click.option("--from", "start", default="", metavar="RUN", help="The run before; by default the last other one.")
@click.option("--to", "end", default="latest", show_default=True, metavar="RUN", help="The run after.")
@click.option(
    "--times", type=click.IntRange(1, 100), default=1, show_default=True, help="How often to measure a mix."
)
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Trials to execute at once."
)
@asking
@as_json("blame")
def command(
    directory: str | None,
    file: str | None,
    metric: str,
    start: str,
    end: str,
    *,
    dry_run: bool,
    yes: bool,
    writes_json: bool,
    **given: Any,
) -> int:
    """Find which changes between two runs made a metric differ.

    Cells, modules, inputs, settings and parameters that differ are mixed, and mixes are executed in private copies
    until the fewest are left that carry the difference. Both sides are executed first: where the difference is not
    beyond what they vary by, nothing is named. A metric of several tasks is named TASK:METRIC. Exits with 1 if
    nothing is named.
    """
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.present.blame_text import (  # noqa: PLC0415 - likewise
        blame_document,
        blame_markdown,
        blamed_lines,
        cost_text,
        mix_line,
    )
    from nbmake_dag.referee.blame import Accused, Blame, Finding  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.environment import redacted, redactor_of  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.known_runs import pipeline_of  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.verdicts import blames_of  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    started = time.time_ns()
    project = project_of(directory, file)
    after = recorded_of(directory, file, end)
    question = _question(project, metric)
    before = recorded_of(directory, file, start) if start else _last_that_differs(project, question, after)
    pipeline = pipeline_of(project)
    redactor = redactor_of(pipeline, os.environ)
    search = Blame(
        project,
        pipeline,
        question,
        before,
        after,
        Accused(**given),
        approve=lambda cost: limited(cost.seconds, cost_text(cost), yes=yes),
        tell=lambda mix, changes: say(redactor.text(mix_line(mix, changes)), err=True),
    )
    found = search.plan() if dry_run else search.run()
    document = redacted(blame_document(found, started=started, ended=time.time_ns()), redactor)
    if not dry_run:
        blames_of(project).keep(document)
        add_to_summary(blame_markdown(document))
    if writes_json:
        click.echo(encode_document(document), nl=False)
    else:
        for line in blamed_lines(found):
            say(redactor.text(line))
    return int(found.finding not in {Finding.FOUND, Finding.PLANNED})


def _question(project: Project, metric: str) -> Metric:
    """Find the metric that is meant; raises `UsageError` for an output or a check."""
    from nbmake_dag.commands.settings import declared_metrics  # noqa: PLC0415 - not for --help
    from nbmake_dag.referee.known_runs import KnownRuns  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.question import told_by_run, understood_metric  # noqa: PLC0415 - likewise

    runs = (told_by_run(recorded.run) for recorded in KnownRuns(project).newest_first())
    return understood_metric(metric, runs, declared_metrics(project))


def _last_that_differs(project: Project, metric: Metric, after: Recorded) -> Recorded:
    """Return the newest run before another whose metric is another one; raises `UsageError` without one."""
    from nbmake_dag.errors import UsageError  # noqa: PLC0415 - not for --help
    from nbmake_dag.referee.known_runs import KnownRuns  # noqa: PLC0415 - likewise
    from nbmake_dag.referee.question import answers, told_by_run  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.compare import Verdict, judge  # noqa: PLC0415 - likewise

    now = answers(metric, told_by_run(after.run))
    for recorded in KnownRuns(project).newest_first():
        if recorded.run.id >= after.run.id:
            continue
        then = answers(metric, told_by_run(recorded.run))
        for task in now.keys() & then.keys():
            if judge(float(then[task]), float(now[task]), metric.declared) is not Verdict.SAME:
                return recorded
    raise UsageError(f"no run before {after.run.id} has another `{metric}`", (), "name one: --from RUN")
