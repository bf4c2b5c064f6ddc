"""`nbdag report`."""

from __future__ import annotations

import os
import webbrowser

import click

from nbmake_dag.build.executed import executed_notebooks
from nbmake_dag.commands.options import located, project_of
from nbmake_dag.commands.recorded import reach
from nbmake_dag.commands.secrets import refused, secrets_of
from nbmake_dag.commands.settings import settings_of
from nbmake_dag.core.model import Pipeline
from nbmake_dag.errors import UsageError
from nbmake_dag.history.places import Place, found_below
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.bundle import BundleError, read_bundle
from nbmake_dag_reporting.compare import Declared
from nbmake_dag_reporting.secrets_scan import SecretFoundError
from nbmake_dag_reporting.site import Found, SiteOptions, SiteResult, found_in, write_site


@click.command
@located
@click.option("-o", "--out", metavar="DIR", help="Write the site to DIR, not .nbdag/site.")
@click.option(
    "--runs",
    "others",
    multiple=True,
    metavar="PLACE",
    help="Add the runs of another checkout, a folder, a URL that fsspec knows, or a bundle.",
)
@click.option(
    "--from-github", "repository", metavar="OWNER/REPO", help="Add the runs in a repository's build artefacts."
)
@click.option("--forks", is_flag=True, help="With --from-github: also those of forks, which anybody can write.")
@click.option("--open", "opens", is_flag=True, help="Open the site in a browser.")
def command(
    directory: str | None,
    file: str | None,
    out: str | None,
    others: tuple[str, ...],
    repository: str | None,
    *,
    forks: bool,
    opens: bool,
) -> None:
    """Write a static site on which runs are compared."""
    project = project_of(directory, file)
    if forks and not repository:
        raise UsageError("--forks is about build artefacts", (), "add --from-github=OWNER/REPO")
    found = [*found_in(project.runs, *reach(project)), *found_below(project.pulled)]
    found += [run for other in others for run in _found(other)]
    if repository:
        found += found_below(*_fetched(project, repository, forks=forks))
    target = os.path.abspath(out) if out else os.path.join(project.root, ".nbdag", "site")
    first = {run.name: run for run in reversed(found)}
    try:
        result = write_site(target, [run for run in found if first[run.name] is run], site_options(project))
    except SecretFoundError as error:
        raise refused("the site was not published", error) from error
    _say(result)
    if opens:
        webbrowser.open(f"file://{result.page}")


def _fetched(project: Project, repository: str, *, forks: bool) -> tuple[str, ...]:
    """Fetch what is new in the build artefacts of a repository, and return the folders that have all of it."""
    from nbmake_dag.history.fetched import fetch  # noqa: PLC0415 - imports an HTTP client
    from nbmake_dag.history.github import API, GitHub, Patience, checked_name  # noqa: PLC0415 - likewise

    folder = project.fetched(checked_name(repository))
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN")
    github = GitHub(os.environ.get("GITHUB_API_URL") or API, token, Patience())
    fetched = fetch(github, repository, folder, forks=forks)
    for what in fetched.refused:
        click.echo(f"warning: refused {what}", err=True)
    if fetched.stopped:
        click.echo(f"warning: {fetched.stopped}", err=True)
    counts = {"new": fetched.new, "expired": fetched.expired, "of forks": fetched.of_forks}
    click.echo(f"{repository}: {', '.join(f'{count} {what}' for what, count in counts.items())}", err=True)
    return fetched.folders


def declared_metrics(directory: str | None, file: str | None) -> dict[str, Declared]:
    """Read `[report.metrics]`; without a project, as for two bundles, nothing is declared."""
    try:
        project = project_of(directory, file)
    except UsageError:
        return {}
    return _metrics(settings_of(project))


def site_options(project: Project) -> SiteOptions:
    """Read `[report]`, and the secrets that must not get out."""
    return options_of(settings_of(project))


def options_of(pipeline: Pipeline) -> SiteOptions:
    settings = pipeline.report
    return SiteOptions(
        executed=executed_notebooks,
        publish_host=settings.publish_host,
        max_size=settings.max_size,
        metrics=_metrics(pipeline),
        secrets=secrets_of(pipeline),
    )


def _metrics(pipeline: Pipeline) -> dict[str, Declared]:
    return {
        name: Declared(direction=metric.direction, tolerance=metric.tolerance)
        for name, metric in pipeline.report.metrics.items()
    }


def _found(path: str) -> list[Found]:
    """Find the runs of another checkout, of a folder of runs or bundles, or the one of a bundle."""
    if "://" in path:
        return Place(path).found()
    if os.path.isfile(path):
        return [_bundle(path)]
    if not os.path.isdir(path):
        raise UsageError(f"{path} is no folder and no bundle")
    root = os.path.abspath(path).removesuffix("/.nbdag/runs")
    if not os.path.isdir(os.path.join(root, ".nbdag", "runs")):
        return Place(root).found()
    other = Project(config="", root=root, repository=root)
    return found_in(other.runs, *reach(other))


def _bundle(path: str) -> Found:
    try:
        recorded = read_bundle(path)
    except BundleError as error:
        raise UsageError(str(error)) from error
    return Found(name=recorded.run.id, stamp=str(os.path.getsize(path)), read=lambda: recorded)


def _say(result: SiteResult) -> None:
    click.echo(result.page)
    new = f"{len(result.added)} new" if result.added else "nothing new"
    click.echo(f"{result.runs} run{'' if result.runs == 1 else 's'}, {new}, {result.size / 1e6:.1f} MB", err=True)
    for what in result.refused:
        click.echo(f"warning: left out {what}", err=True)
    if result.dropped:
        dropped = f"the details of {len(result.dropped)} old runs"
        click.echo(f"warning: {dropped} were left out to stay under [report] max_size", err=True)
