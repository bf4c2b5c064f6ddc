"""`nbdag schema`."""

from __future__ import annotations

import importlib
import json
from typing import Any

import click

DOCUMENTS = {
    "status": (
        "nbmake_dag.present.status_document:StatusDocument",
        "nbdag status --json`, `nbdag build --dry-run --json",
    ),
    "explain": ("nbmake_dag.present.explain_document:ExplainDocument", "nbdag explain TASK --json"),
    "runs": ("nbmake_dag_reporting.documents:RunsDocument", "nbdag runs --json"),
    "run": ("nbmake_dag_reporting.documents:RunDocument", "nbdag show RUN --json"),
    "task": ("nbmake_dag_reporting.documents:TaskDocument", "nbdag show RUN TASK --json"),
    "diff": ("nbmake_dag_reporting.documents:DiffDocument", "nbdag diff RUN RUN --json"),
    "bisect": ("nbmake_dag_reporting.documents:BisectDocument", "nbdag bisect NAME --json"),
    "blame": ("nbmake_dag_reporting.documents:BlameDocument", "nbdag blame METRIC --json"),
    "verdict": ("nbmake_dag_reporting.verdict:VerdictDocument", "nbdag replay --json"),
    "verified": ("nbmake_dag.commands.verify:VerifiedDocument", "nbdag verify FILE --attestation A --json"),
    "graph": ("nbmake_dag_reporting.documents:GraphDocument", "nbdag graph --json"),
    "config": ("nbmake_dag.present.config_document:ConfigDocument", "nbdag config --json"),
    "doctor": ("nbmake_dag.doctor.checks:DoctorDocument", "nbdag doctor --json"),
    "cache-info": ("nbmake_dag.commands.cache:CacheInfoDocument", "nbdag cache info --json"),
    "cache-verify": ("nbmake_dag.commands.cache:CacheFaultsDocument", "nbdag cache verify --json"),
    "summary": ("nbmake_dag_reporting.documents:SummaryDocument", "nbdag build --summarize"),
    "events": ("nbmake_dag.progress.event_lines:EventLine", "nbdag build --json-lines"),
}
"""What commands write: the type of each document, and the command."""


@click.command
@click.argument("document", type=click.Choice(["pipeline", *DOCUMENTS]), default="pipeline")
def command(document: str) -> None:
    """Print the JSON Schema of pipeline.toml, for completion and checks in editors, or of what a command writes.

    `nbdag help json` says which command writes which document.
    """
    from nbmake_dag.config.pipeline_file import json_schema  # noqa: PLC0415 - not for --help

    click.echo(json.dumps(json_schema() if document == "pipeline" else document_schema(document), indent=2))


def document_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of what a command writes."""
    from nbmake_dag_reporting.documents import schema_of  # noqa: PLC0415 - only where it is asked for

    module, _, kind = DOCUMENTS[name][0].partition(":")
    return schema_of(getattr(importlib.import_module(module), kind))
