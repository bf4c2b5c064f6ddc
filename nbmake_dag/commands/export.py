"""`nbdag export`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import allowing, located, project_of
from nbmake_dag.errors import UsageError, naming
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.bundle import Recorded
from nbmake_dag_reporting.run import TaskRun
from nbmake_dag_reporting.secrets_scan import Secrets

_ENVELOPE = b'{"payload":'


@click.command(
    cls=Command,
    examples={
        "nbdag export latest --bundle run.json": "a run as one file",
        "nbdag export latest -o run": "as a tree of files",
        "nbdag export latest --ro-crate crate": "for an archive of research data",
    },
)
@click.argument("run", default="latest")
@located
@click.option("--bundle", metavar="FILE", help="Write one JSON file that `nbdag show` and `report` read.")
@click.option("--outputs", is_flag=True, help="Let the bundle hold the outputs too, for `nbdag restore`.")
@click.option("-o", "--out", metavar="DIR", help="Write a tree of files into DIR, which must be new or empty.")
@click.option(
    "--ro-crate", metavar="DIR", help="Write an RO-Crate for archives into DIR, which must be new or empty."
)
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

    bundle, metrics, attest = (places[name] for name in ("bundle", "metrics", "attest"))
    out, crate = (places[name] for name in ("out", "ro_crate"))
    _check_wanted(places, outputs=outputs)
    for path, beginning in ((bundle, BUNDLE), (metrics, BEGINNING), (attest, _ENVELOPE)):
        if path:
            prepare_file(path, beginning)
    for folder in filter(None, (out, crate)):
        check_folder(folder)
    recorded = recorded_of(directory, file, run)
    secrets = secrets_of(project_of(directory, file), allow)
    writers = (
        (bundle, partial(write_bundle, with_outputs=outputs)),
        (out, _write_tree),
        (crate, partial(_write_crate, project_of(directory, file))),
        (metrics, _write_metrics),
        (attest, partial(_attest, project_of(directory, file))),
    )
    for path, write in writers:
        if path:
            try:
                _warn(write(path, recorded, secrets))
            except SecretFoundError as error:
                raise refused(f"{path} was not written", error) from error
            except BundleError as error:
                raise UsageError(str(error)) from error
            click.echo(path)
    report_found(secrets)


def _attest(project: Project, path: str, recorded: Recorded, secrets: Secrets) -> tuple[str, ...]:
    from nbmake_dag.engine.shared_cache.client import SIGNING_KEY, signing  # noqa: PLC0415 - likewise
    from nbmake_dag.runs.find import vcs_of  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.attestation import statements_about  # noqa: PLC0415 - likewise

    key = os.environ.get(SIGNING_KEY)
    if not key:
        raise UsageError(
            f"{SIGNING_KEY} is not set, and nothing can be signed", (), "`nbdag cache keygen` makes one"
        )
    if os.path.isfile(recorded.run.directory):
        raise UsageError(f"run {recorded.run.id} came from another machine: it is attested where it ran")
    statements = [secrets.clean(data, name) for name, data in statements_about(recorded, partial(vcs_of, project))]
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

    from nbmake_dag_reporting.tree import write_tree  # noqa: PLC0415 - likewise

    # its "js-default" preset lets no HTML and no links to scripts through
    return write_tree(out, recorded, partial(_executed, recorded), MarkdownIt("js-default").render, secrets)


def _executed(recorded: Recorded, task: TaskRun) -> Mapping[int, Mapping[str, Any]]:
    from nbmake_dag.engine.results.executed_notebook import executed_notebooks  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.notebook import CellMismatchError  # noqa: PLC0415 - likewise

    try:
        return executed_notebooks(recorded, task)
    except CellMismatchError as error:
        click.echo(f"warning: {task.name} has no notebook: {error}", err=True)
        return {}


def _check_wanted(places: Mapping[str, str | None], *, outputs: bool) -> None:
    if not any(places.values()):
        hint = "name a file with --bundle, --metrics or --attest, or a folder with -o or --ro-crate"
        raise UsageError("nothing to write", (), hint)
    if outputs and not places["bundle"]:
        raise UsageError("`--outputs` belongs to `--bundle`", (), "name a file with --bundle")
    if places["ro_crate"] and find_spec("rocrate") is None:
        hint = "install it beside nbdag: `pip install 'nbmake-dag[ro-crate]'`"
        raise UsageError("an RO-Crate is written by the package rocrate, which is not here", (), hint)


def _write_crate(project: Project, out: str, recorded: Recorded, secrets: Secrets) -> tuple[str, ...]:
    from nbmake_dag.runs.surroundings import Surroundings  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.crate import NothingToDescribeError, write_crate  # noqa: PLC0415 - likewise

    around = Surroundings(project, recorded.run)
    try:
        return write_crate(
            out,
            recorded,
            partial(_executed, recorded),
            around.look,
            (around.workflow(), around.licence()),
            secrets,
        )
    except NothingToDescribeError as error:
        what = f"run {recorded.run.id} executed nothing and reused nothing: a crate describes what was done"
        raise UsageError(what, (), "`nbdag runs` lists the others") from error


def _warn(gone: tuple[str, ...]) -> None:
    if gone:
        click.echo(
            f"warning: {len(gone)} files are not in it, as they are gone or were left out: {', '.join(gone[:5])}",
            err=True,
        )
