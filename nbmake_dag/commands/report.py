"""`nbdag report`."""

from __future__ import annotations

import os
import webbrowser

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import allowing, located, project_of
from nbmake_dag.commands.settings import (
    options_of,
    refused,
    report_found,
    secrets_of,
    settings_of,
    withheld,
)
from nbmake_dag.commands.targets import check_folder
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.project import Project
from nbmake_dag.referee.verdicts import blames_of, verdicts_of
from nbmake_dag.runs.find import reach, run_under_way
from nbmake_dag.runs.places import RunsFolder, found_below
from nbmake_dag_reporting.bundle import BundleError, read_bundle
from nbmake_dag_reporting.secrets_scan import SecretFoundError
from nbmake_dag_reporting.site import Found, SiteResult, found_in, write_site


@click.command(
    cls=Command,
    examples={
        "nbdag report --open": "write the site, and look at it",
        "nbdag report -o public": "write it where it is published",
        "nbdag report --check": "fail where `[report.metrics.NAME] alert` says so",
    },
)
@located
@click.option(
    "-o",
    "--out",
    metavar="DIR",
    help="Write the site to DIR: new, empty, or a site already.",
)
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
@allowing
@click.option("--check", "checks", is_flag=True, help="Exit with 1 if a metric of the newest run raises an alert.")
@click.option("--open", "opens", is_flag=True, help="Open the site in a browser.")
def command(
    out: str | None,
    others: tuple[str, ...],
    repository: str | None,
    *,
    forks: bool,
    allow: tuple[str, ...],
    checks: bool,
    opens: bool,
    **place: str | None,
) -> int:
    """Write a static site on which runs are compared."""
    project = project_of(place["directory"], place["file"])
    if forks and not repository:
        raise UsageError("--forks needs --from-github", (), "add --from-github=OWNER/REPO")
    if out:
        check_folder(out, may_be_site=True)
    running = run_under_way(project)
    found = [run for run in found_in(project.runs, *reach(project)) if run.name != running]
    found += found_below(project.pulled)
    found += [run for other in others for run in _found(other)]
    if repository:
        found += found_below(*_fetched(project, repository, forks=forks))
    target = os.path.abspath(out) if out else os.path.join(project.root, ".nbdag", "site")
    first = {run.name: run for run in reversed(found)}
    secrets = secrets_of(project, allow)
    options = options_of(settings_of(project), project, secrets)
    try:
        judgements = (*verdicts_of(project), *blames_of(project))
        result = write_site(target, [run for run in found if first[run.name] is run], options, judgements)
    except SecretFoundError as error:
        raise refused("the site was not published", error) from error
    _say(result)
    report_found(secrets)
    if opens:
        webbrowser.open(f"file://{result.page}")
    if result.withheld:
        raise withheld(result.withheld)
    return 1 if checks and result.alerts else 0


def _fetched(project: Project, repository: str, *, forks: bool) -> tuple[str, ...]:
    """Fetch what is new in the build artefacts of a repository, and return the folders that have all of it."""
    from nbmake_dag.runs.fetched import fetch  # noqa: PLC0415 - imports an HTTP client
    from nbmake_dag.runs.github import API, GitHub, Patience, checked_name  # noqa: PLC0415 - likewise

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


def _found(path: str) -> list[Found]:
    """Find the runs of another checkout, of a folder of runs or bundles, or the one of a bundle."""
    if "://" in path:
        return RunsFolder(path).found()
    if os.path.isfile(path):
        return [_bundle(path)]
    if not os.path.isdir(path):
        raise UsageError(f"{path} is neither a folder nor a bundle")
    root = os.path.abspath(path).removesuffix("/.nbdag/runs")
    if not os.path.isdir(os.path.join(root, ".nbdag", "runs")):
        return RunsFolder(root).found()
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
    for sentence in result.alerts:
        click.echo(f"alert: {sentence}", err=True)
    for what in result.refused:
        click.echo(f"warning: the site is without {what}", err=True)
    if result.dropped:
        dropped = f"the details of {len(result.dropped)} old runs"
        click.echo(f"warning: {dropped} were left out to stay under [report] max_size", err=True)
