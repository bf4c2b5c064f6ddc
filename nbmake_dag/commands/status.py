"""`nbdag status`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, overrides, profiled, project_of, say, say_all, targets_of
from nbmake_dag.core.decide import Stale
from nbmake_dag.core.plan import Undecided
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.session import Planned, planned
from nbmake_dag.engine.state.previous_results import PreviousResults
from nbmake_dag.observe.project import Project
from nbmake_dag.present.undeclared_text import undeclared_line, undeclared_lines
from nbmake_dag.present.verdicts import describe_plan
from nbmake_dag.runs.find import waits_under_way


@click.command(
    cls=Command,
    examples={
        "nbdag status": "what would run, and why",
        "nbdag status train --exit-code": "for scripts: 1 if it is stale",
    },
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@profiled
@click.option("-p", "overrides", multiple=True, callback=overrides, metavar="NAME=VALUE", help="Set a parameter.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a task is stale or undecided.")
@click.option("-v", "--verbose", is_flag=True, help="List each undeclared file of a task.")
@as_json("status")
def command(
    directory: str | None, file: str | None, *, exit_code: bool, verbose: bool, writes_json: bool, **given: Any
) -> int:
    """List the stale tasks and why they are stale, without running anything."""
    project = project_of(directory, file, given.pop("profiles"))

    given["targets"] = targets_of(project, directory, given["targets"], given.get("tags", ()))
    found = planned(project, Request(**given), tell=_tell)
    verdicts = found.verdicts
    if writes_json:
        write_plan(project, found)
    else:
        previous = _previous(project)
        say_all(describe_plan(verdicts, previous.failure, waits_under_way(project)))
        restored = Counter(filter(None, map(previous.restored_from, verdicts)))
        for run, count in restored.items():
            tasks = "task are" if count == 1 else "tasks are"
            _tell(f"the outputs of {count} {tasks} as of run {run}, until they are built (`nbdag restore`)")
        for task, files in found.undeclared.items():
            _tell(f"warning: {undeclared_line(task, files)}")
            for line in undeclared_lines(files) if verbose else ():
                _tell(line)
    stale = any(isinstance(verdict, (Stale, Undecided)) for verdict in verdicts.values())
    return int(exit_code and stale)


def write_plan(project: Project, found: Planned) -> None:
    """Write what a build would do as JSON."""
    from nbmake_dag.present.status_document import status_document  # noqa: PLC0415 - only where it is asked for
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    document = status_document(found, _previous(project), waits_under_way(project))
    click.echo(encode_document(document), nl=False)


def _previous(project: Project) -> PreviousResults:
    return PreviousResults(project.state, lambda warning: _tell(f"warning: {warning}"))


def _tell(text: str) -> None:
    say(text, err=True)
