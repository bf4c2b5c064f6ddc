"""Settings from `pipeline.toml` and the environment, for commands that run nothing and read no notebooks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

import click
from msgspec.structs import replace

from nbmake_dag.core.model import Settings
from nbmake_dag.errors import NbdagError
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.compare import Declared
from nbmake_dag_reporting.secrets_scan import SecretFoundError, Secrets
from nbmake_dag_reporting.site import SiteOptions

_SECRETS = "remove the run or the file that holds it; `secrets` of the tasks redact it in runs to come"
_SUSPICIONS = "declare it in `secrets` of its task; if it is none, name it in [report] allow, or with --allow"


def settings_of(project: Project) -> Settings:
    """Read what a pipeline says of all its tasks, without looking at notebooks; raises `ConfigError`."""
    from nbmake_dag.config import pipeline_file  # noqa: PLC0415 - not for --help
    from nbmake_dag.observe.instance_data import Disk, parse_with_parts  # noqa: PLC0415 - likewise

    with open(project.config, "rb") as file:
        parsed = parse_with_parts(replace(project, profiles=()), file.read(), Disk(project))
    return pipeline_file.settings_of(parsed)


def secrets_of(project: Project | None, allow: Iterable[str] = ()) -> Secrets:
    """Return what must not be published; a bundle has no project."""
    from nbmake_dag.engine.publishing import secrets_to_find  # noqa: PLC0415 - not for --help

    return secrets_to_find(project, settings_of(project) if project else Settings(name=""), os.environ, allow)


def report_found(secrets: Secrets) -> None:
    """Print what was found, or not searched, in what was published."""
    for note in secrets.notes:
        click.echo(f"warning: {note}", err=True)
    if secrets.finds_suspicions:
        click.echo(f"hint: {_SUSPICIONS}", err=True)


def refused(what: str, error: SecretFoundError) -> NbdagError:
    """Report content that was not written because it has a secret in it."""
    return NbdagError(f"{what}: {error}", (), _SECRETS)


def withheld(runs: tuple[str, ...]) -> NbdagError:
    """Report runs that the site is without, as they hold a secret."""
    first, *others = runs
    more = f", and {len(others)} more" if others else ""
    return NbdagError(f"the site was written without run {first}{more}", (), _SECRETS)


def site_options(project: Project) -> SiteOptions:
    """Read `[report]`, and the secrets that must not be published."""
    return options_of(settings_of(project), project)


def options_of(settings: Settings, project: Project, secrets: Secrets | None = None) -> SiteOptions:
    """Return the options of a site, with the secrets of the project unless they are given."""
    from nbmake_dag.engine.publishing import secrets_to_find  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.results.executed_notebook import executed_notebooks  # noqa: PLC0415 - takes 0.3 s
    from nbmake_dag.runs.surroundings import committed_pictures  # noqa: PLC0415 - likewise

    report = settings.report
    return SiteOptions(
        executed=executed_notebooks,
        publish_host=report.publish_host,
        previews=report.previews,
        committed=partial(committed_pictures, project),
        max_size=report.max_size,
        metrics=_metrics(settings),
        views=report.views,
        secrets=secrets or secrets_to_find(project, settings, os.environ),
    )


def declared_metrics(project: Project | None) -> dict[str, Declared]:
    """Read `[report.metrics]`; without a project, as for two bundles, nothing is declared."""
    return _metrics(settings_of(project)) if project else {}


def _metrics(settings: Settings) -> dict[str, Declared]:
    return {
        name: Declared(direction=metric.direction, tolerance=metric.tolerance, alert=metric.alert)
        for name, metric in settings.report.metrics.items()
    }
