"""`nbdag report`."""

from __future__ import annotations

import os
import webbrowser

import click

from nbmake_dag.build.executed import executed_notebooks
from nbmake_dag.build.prepare import Stores, load
from nbmake_dag.build.request import Request
from nbmake_dag.commands.options import located, project_of
from nbmake_dag.commands.recorded import reach
from nbmake_dag.core.model import Pipeline
from nbmake_dag.errors import NbdagError, UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.bundle import BundleError, read_bundle
from nbmake_dag_reporting.compare import Declared
from nbmake_dag_reporting.secrets_scan import SecretFoundError, suspects
from nbmake_dag_reporting.site import Found, SiteOptions, SiteResult, found_in, write_site


@click.command
@located
@click.option("-o", "--out", metavar="DIR", help="Write the site to DIR, not .nbdag/site.")
@click.option("--runs", "others", multiple=True, metavar="DIR", help="Add another checkout's runs, or a bundle.")
@click.option("--open", "opens", is_flag=True, help="Open the site in a browser.")
def command(
    directory: str | None, file: str | None, out: str | None, others: tuple[str, ...], *, opens: bool
) -> None:
    """Write a static site on which runs are compared."""
    project = project_of(directory, file)
    found = [*found_in(project.runs, *reach(project)), *(item for other in others for item in _found(other))]
    target = os.path.abspath(out) if out else os.path.join(project.root, ".nbdag", "site")
    try:
        result = write_site(target, found, site_options(project))
    except SecretFoundError as error:
        raise NbdagError(
            f"the site was not published: {error}",
            (),
            "secrets are the tasks' `secrets`, and variables named *_TOKEN, *_KEY, *_SECRET or *_PASSWORD",
        ) from error
    _say(result)
    if opens:
        webbrowser.open(f"file://{result.page}")


def declared_metrics(directory: str | None, file: str | None) -> dict[str, Declared]:
    """Read `[report.metrics]`; without a project, as for two bundles, nothing is declared."""
    try:
        project = project_of(directory, file)
    except UsageError:
        return {}
    return _metrics(_pipeline(project))


def site_options(project: Project) -> SiteOptions:
    """Read `[report]`, and the secrets that must not get out."""
    pipeline = _pipeline(project)
    settings = pipeline.report
    return SiteOptions(
        executed=executed_notebooks,
        publish_host=settings.publish_host,
        max_size=settings.max_size,
        metrics=_metrics(pipeline),
        secrets={**suspects(os.environ), **_declared_secrets(pipeline)},
    )


def _pipeline(project: Project) -> Pipeline:
    stores = Stores.open(project)
    try:
        pipeline, _, _ = load(project, Request(), stores)
    finally:
        stores.close()
    return pipeline


def _metrics(pipeline: Pipeline) -> dict[str, Declared]:
    return {
        name: Declared(direction=metric.direction, tolerance=metric.tolerance)
        for name, metric in pipeline.report.metrics.items()
    }


def _declared_secrets(pipeline: Pipeline) -> dict[str, str]:
    names = {name for task in pipeline.tasks.values() for name in task.secrets}
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}


def _found(path: str) -> list[Found]:
    """Find the runs of another checkout, of a folder of runs, or the one of a bundle."""
    if os.path.isfile(path):
        return [_bundle(path)]
    if not os.path.isdir(path):
        raise UsageError(f"{path} is no folder and no bundle")
    runs = os.path.join(os.path.abspath(path), ".nbdag", "runs")
    if not os.path.isdir(runs):
        runs = os.path.abspath(path)
    root = os.path.dirname(os.path.dirname(runs))
    return found_in(runs, *reach(Project(config="", root=root, repository=root)))


def _bundle(path: str) -> Found:
    try:
        recorded = read_bundle(path)
    except BundleError as error:
        raise UsageError(str(error)) from error
    return Found(name=recorded.run.id, stamp=str(os.path.getsize(path)), read=lambda: recorded)


def _say(result: SiteResult) -> None:
    click.echo(result.page)
    new = f"{len(result.added)} new" if result.added else "nothing new"
    click.echo(f"{result.runs} runs, {new}, {result.size / 1e6:.1f} MB", err=True)
    if result.dropped:
        dropped = f"the details of {len(result.dropped)} old runs"
        click.echo(f"warning: {dropped} were left out to stay under [report] max_size", err=True)
