"""`nbdag diff`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, project_of, say

if TYPE_CHECKING:
    from nbmake_dag.observe.project import Project
    from nbmake_dag.present.site_links import SiteLinks
    from nbmake_dag_reporting.bundle import Recorded
    from nbmake_dag_reporting.compare import Comparison


@click.command(
    cls=Command,
    examples={
        "nbdag diff latest~1": "what changed in the latest run",
        "nbdag diff main HEAD --format=markdown": "two branches, for a pull request",
    },
)
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="[RUN]", required=False)
@located
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    help="Markdown is for a pull request.",
)
@as_json("diff")
@click.option("--site", metavar="URL", help="Link Markdown to those runs that the site published at URL shows.")
@click.option(
    "--pictures", metavar="FILE", help="Write an HTML page with the pictures that differ; no file if none does."
)
def command(
    directory: str | None,
    file: str | None,
    before: str,
    after: str | None,
    form: str,
    site: str | None,
    pictures: str | None,
    *,
    writes_json: bool,
) -> None:
    """Compare two runs, the first being the baseline; the second is the latest if not named.

    RUN is an id, a prefix of one, `latest`, `latest~N`, a git ref, or the path of a bundle.
    """
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.settings import declared_metrics  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.results.executed_notebook import counted_cells  # noqa: PLC0415 - likewise
    from nbmake_dag.errors import UsageError  # noqa: PLC0415 - likewise
    from nbmake_dag.present.diff_text import (  # noqa: PLC0415 - likewise
        markdown_text,
        text_lines,
    )
    from nbmake_dag_reporting.alerts import alerts_between  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.compare import compare  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import diff_document, encode_document  # noqa: PLC0415 - likewise

    links = _links(site) if site else None
    if pictures:
        from nbmake_dag.commands.targets import prepare_file  # noqa: PLC0415 - only where it is asked for
        from nbmake_dag.present.pictures import BEGINNING  # noqa: PLC0415 - likewise

        prepare_file(pictures, BEGINNING.encode())
    old, new = recorded_of(directory, file, before), recorded_of(directory, file, after or "latest")
    if after is None and old.run.id == new.run.id:
        hint = f"name another: nbdag diff latest~1 {before}"
        raise UsageError(f"run {before} is the latest one, and would be compared with itself", (), hint)
    project = None
    with suppress(UsageError):  # two bundles need no project
        project = project_of(directory, file)
    declared = declared_metrics(project)
    found = compare(old, new, declared, counted_cells)
    if pictures:
        _write_pictures(pictures, found, old, new, project)
    if form == "json" or writes_json:
        click.echo(encode_document(diff_document(found)), nl=False)
    elif form == "markdown":
        alerts = alerts_between(old.run, new.run, declared)
        click.echo(markdown_text(found, links, alerts), nl=False)
    else:
        for line in text_lines(found):
            say(line)


def _links(site: str) -> SiteLinks:
    """Link to what a site shows; where that cannot be found out, to nothing."""
    from nbmake_dag.present.site_links import SiteLinks  # noqa: PLC0415 - only where it is asked for
    from nbmake_dag.runs.published import UnreadableSiteError, published_runs  # noqa: PLC0415 - an HTTP client

    try:
        return SiteLinks(site, published_runs(SiteLinks.folder(site)))
    except UnreadableSiteError as error:
        click.echo(f"warning: no link to the site is written: {error}", err=True)
        return SiteLinks(site)


def _write_pictures(path: str, found: Comparison, old: Recorded, new: Recorded, project: Project | None) -> None:
    """Write the page, or remove that of an earlier comparison; a picture with a secret in it is left out."""
    from nbmake_dag.commands.settings import secrets_of  # noqa: PLC0415 - only where it is asked for
    from nbmake_dag.commands.targets import discard_file  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.results.executed_notebook import counted_cells  # noqa: PLC0415 - likewise
    from nbmake_dag.errors import naming  # noqa: PLC0415 - likewise
    from nbmake_dag.present.pictures import changed_pictures, pictures_page  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.secrets_scan import SecretFoundError  # noqa: PLC0415 - likewise

    secrets = secrets_of(project)

    def refuse(data: bytes, place: str) -> str:
        try:
            secrets.refuse_suspicious(data, place)
        except SecretFoundError as error:
            click.echo(f"warning: a picture is left out: {error}", err=True)
            return f"it holds the value of {error.name}"
        return ""

    pairs = changed_pictures(found, old, new, counted_cells)
    with naming(path):
        if not pairs:
            discard_file(path)
            return
        with open(path, "w", encoding="utf-8", errors="replace") as page:
            page.write(pictures_page(found, pairs, refuse))
