"""`nbdag graph`."""

from __future__ import annotations

from collections.abc import Callable

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, profiled, project_of
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.drawing import Drawing


@click.command(
    cls=Command,
    examples={
        "nbdag graph": "a Mermaid diagram",
        "nbdag graph --format=svg > dag.svg": "a picture",
    },
)
@located
@profiled
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot", "json", "svg"]),
    default="mermaid",
    show_default=True,
    help="GitHub and GitLab render Mermaid.",
)
@as_json("graph")
@click.option("--run", metavar="RUN", help="Draw the tasks of RUN with their statuses.")
def command(
    directory: str | None,
    file: str | None,
    profiles: tuple[str, ...],
    form: str,
    run: str | None,
    *,
    writes_json: bool,
) -> None:
    """Draw the dependencies of tasks."""
    from nbmake_dag_reporting import graph_formats, graph_svg  # noqa: PLC0415 - not for --help
    from nbmake_dag_reporting.documents import encode_document, graph_document  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.drawing import drawing_of  # noqa: PLC0415 - likewise

    if run is None:
        drawing = _pipeline(project_of(directory, file, profiles))
    else:
        from nbmake_dag.commands.recorded import recorded_of  # noqa: PLC0415 - only where it is asked for

        drawing = drawing_of(recorded_of(directory, file, run).run)
    writers: dict[str, Callable[[Drawing], str | bytes]] = {
        "mermaid": graph_formats.mermaid,
        "dot": graph_formats.dot,
        "json": lambda drawing: encode_document(graph_document(drawing)),
        "svg": graph_svg.svg,
    }
    click.echo(writers["json" if writes_json else form](drawing), nl=False)


def _pipeline(project: Project) -> Drawing:
    """Draw the pipeline as it is declared."""
    from nbmake_dag.core.graph import build_graph  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.prepare import load  # noqa: PLC0415 - not for --help
    from nbmake_dag.engine.request import Request  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.stores import Stores  # noqa: PLC0415 - likewise
    from nbmake_dag.present.verdicts import known_when  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.drawing import Node  # noqa: PLC0415 - likewise

    stores = Stores.open(project)
    try:
        pipeline, _, _ = load(project, Request(), stores)
    finally:
        stores.close()
    graph = build_graph(pipeline)
    return Drawing(
        title=pipeline.name,
        nodes=tuple(
            Node(
                name=name,
                type=graph.tasks[name].type,
                note=known_when(graph.upstream[name]) if graph.tasks[name].is_unknown else "",
            )
            for name in graph.order
        ),
        edges=tuple((producer, name) for name in graph.order for producer in graph.upstream[name]),
    )
