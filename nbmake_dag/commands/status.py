"""`nbdag status`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from nbmake_dag.build.request import Request
from nbmake_dag.build.session import plan_of
from nbmake_dag.commands.options import located, overrides, project_of
from nbmake_dag.commands.verdicts import count, describe_plan, reasons_of, status_of
from nbmake_dag.core.decide import Restorable, Stale, UpToDate
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Undecided, Verdict


@click.command
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@located
@click.option("-p", "overrides", multiple=True, callback=overrides, metavar="NAME=VALUE", help="Set a parameter.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a task is stale or undecided.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON, as `nbdag build --summarize` does.")
def command(directory: str | None, file: str | None, *, exit_code: bool, as_json: bool, **given: Any) -> int:
    """Say what is stale and why, without running anything."""
    verdicts = plan_of(project_of(directory, file), Request(**given))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(_summary(verdicts)), indent=2))
    else:
        for line in describe_plan(verdicts):
            click.echo(line)
    stale = any(isinstance(verdict, (Stale, Undecided)) for verdict in verdicts.values())
    return int(exit_code and stale)


def _summary(verdicts: dict[TaskName, Verdict]) -> dict[str, object]:
    records = {
        name: verdict.record for name, verdict in verdicts.items() if isinstance(verdict, (UpToDate, Restorable))
    }
    return {
        "saved_s": sum(record.origin.duration_s for record in records.values()),
        "counts": {"total": len(verdicts), **count(verdicts)},
        "tasks": [
            {
                "name": name,
                "status": status_of(verdict),
                "reasons": reasons_of(verdict),
                "key": records[name].key if name in records else None,
                "duration_s": records[name].origin.duration_s if name in records else None,
                "attempts": 0,
            }
            for name, verdict in verdicts.items()
        ],
    }
