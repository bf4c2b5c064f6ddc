"""`nbdag export`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import allowing, located, project_of
from nbmake_dag.errors import UsageError, naming
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.run import TaskRun
from nbmake_dag_reporting.secrets_scan import Secrets

_ENVELOPE = b'{"payload":'


@click.command(
    cls=Command,
    examples={
        "nbdag export latest --bundle run.json": "a run as one file",
        "nbdag export latest -o run": "as a tree of files",
    },
)
@click.argument("run", default="latest")
@located
@click.option("--bundle", metavar="FILE", help="Write one JSON file that `nbdag show` and `report` read.")
@click.option("--outputs", is_flag=True, help="Let the bundle hold the outputs too, for `nbdag restore`.")
@click.option("-o", "--out", metavar="DIR", help="Write a tree of files into DIR, which must be new or empty.")
@click.option("--metrics", metavar="FILE", help="Write the metrics as OpenMetrics text, for GitLab or Prometheus.")
@click.option("--attest", metavar="FILE", help="Write a signed statement about each output, for `nbdag verify`.")
@allowing
def command(
    directory: str | None,
    file: str | None,
    run: str,
    allow: tuple[str, ...],
    *,
    outputs: bool,
    **places: str | None,
) -> None:
    """Write a run with its artefacts and notebooks, for archiving or sharing."""
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - not for --help
    from nbmake_dag.commands.settings import refused, report_found, secrets_of  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.targets import BUNDLE, check_folder, prepare_file  # noqa: PLC0415 - likewise
    from nbmake_dag.present.open_metrics import BEGINNING  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.bundle import BundleError, write_bundle  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.secrets_scan import SecretFoundError  # noqa: PLC0415 - likewise

    bundle, out, metrics, attest = (places[name] for name in ("bundle", "out", "metrics", "attest"))
    if not bundle and not out and not metrics and not attest:
        hint = "name a file with --bundle, --metrics or --attest, or a folder with -o"
        raise UsageError("nothing to write", (), hint)
    if outputs and not bundle:
        raise UsageError("`--outputs` belongs to `--bundle`", (), "name a file with --bundle")
    for path, beginning in ((bundle, BUNDLE), (metrics, BEGINNING), (attest, _ENVELOPE)):
        if path:
            prepare_file(path, beginning)
    if out:
        check_folder(out)
    recorded = recorded_of(directory, file, run)
    secrets = secrets_of(project_of(directory, file), allow)
    as_bundle = partial(write_bundle, with_outputs=outputs)
    for path, write in ((bundle, as_bundle), (out, _write_tree), (metrics, _write_metrics), (attest, _attest)):
        if path:
            try:
                _warn(write(path, recorded, secrets))
            except SecretFoundError as error:
                raise refused(f"{path} was not written", error) from error
            except BundleError as error:
                raise UsageError(str(error)) from error
            click.echo(path)
    report_found(secrets)


def _attest(path: str, recorded: Recorded, secrets: Secrets) -> tuple[str, ...]:
    from nbmake_dag.engine.shared_cache.client import SIGNING_KEY, signing  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.attestation import statements_about  # noqa: PLC0415 - likewise

    key = os.environ.get(SIGNING_KEY)
    if not key:
        raise UsageError(
            f"{SIGNING_KEY} is not set, and nothing can be signed", (), "`nbdag cache keygen` makes one"
        )
    if os.path.isfile(recorded.run.directory):
        raise UsageError(f"run {recorded.run.id} came from another machine: it is attested where it ran")
    statements = [secrets.clean(data, name) for name, data in statements_about(recorded)]
    if not statements:
        raise UsageError(f"run {recorded.run.id} has no output that is recorded")
    try:
        lines = signing("dsse").sign(statements, key)
    except ValueError as error:
        raise UsageError(f"{SIGNING_KEY} is not an Ed25519 key in base64") from error
    with naming(path), open(path, "wb") as target:
        target.write(lines)
    return ()


def _write_metrics(path: str, recorded: Recorded, secrets: Secrets) -> tuple[str, ...]:
    from nbmake_dag.present.open_metrics import open_metrics  # noqa: PLC0415 - only where it is asked for

    data = secrets.clean(open_metrics(recorded.run), path)
    with naming(path), open(path, "wb") as target:
        target.write(data)
    return ()


def _write_tree(out: str, recorded: Recorded, secrets: Secrets) -> tuple[str, ...]:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - only where it is asked for

    from nbmake_dag.engine.results.executed_notebook import executed_notebooks  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.notebook import CellMismatchError  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.tree import write_tree  # noqa: PLC0415 - likewise

    def executed(task: TaskRun) -> Mapping[int, Mapping[str, Any]]:
        try:
            return executed_notebooks(recorded, task)
        except CellMismatchError as error:
            click.echo(f"warning: {task.name} has no notebook: {error}", err=True)
            return {}

    # its "js-default" preset lets no HTML and no links to scripts through
    return write_tree(out, recorded, executed, MarkdownIt("js-default").render, secrets)


def _warn(gone: tuple[str, ...]) -> None:
    if gone:
        click.echo(
            f"warning: {len(gone)} files are not in it, as they are gone or were left out: {', '.join(gone[:5])}",
            err=True,
        )
