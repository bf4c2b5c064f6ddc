"""`nbdag diff`."""

from __future__ import annotations

import click

from nbmake_dag.commands.options import located


@click.command
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
@click.option("--site", metavar="URL", help="Link Markdown to the site published at URL.")
def command(
    directory: str | None, file: str | None, before: str, after: str | None, form: str, site: str | None
) -> None:
    """Say what differs between two runs, the first being the baseline; the second is the latest if not named.

    RUN is an id, a prefix of one, `latest`, `latest~N`, a git ref, or the path of a bundle.
    """
    from nbmake_dag.commands.diff_cells import with_places  # noqa: PLC0415 - not for --help
    from nbmake_dag.commands.diff_text import markdown_text, text_lines  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.report import declared_metrics  # noqa: PLC0415 - likewise
    from nbmake_dag.commands.site_links import SiteLinks  # noqa: PLC0415 - likewise
    from nbmake_dag.errors import UsageError  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.compare import compare  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    links = SiteLinks(site) if site else None
    old, new = recorded_of(directory, file, before), recorded_of(directory, file, after or "latest")
    if after is None and old.run.id == new.run.id:
        hint = f"name another: nbdag diff latest~1 {before}"
        raise UsageError(f"run {before} is the latest one, with which it would be compared", (), hint)
    found = with_places(compare(old, new, declared_metrics(directory, file)), old, new)
    if form == "json":
        click.echo(encode_document(found.document()))
    elif form == "markdown":
        click.echo(markdown_text(found, links), nl=False)
    else:
        for line in text_lines(found):
            click.echo(line)
