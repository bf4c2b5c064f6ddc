"""`nbdag config`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import as_json, located, profiled, project_of

if TYPE_CHECKING:
    from nbmake_dag.observe.project import Project
    from nbmake_dag.present.config_document import ConfigDocument


@click.command(
    cls=Command,
    examples={
        "nbdag config": "what the file says, defaults included",
        "nbdag config --profile ci": "what it says with a profile",
    },
)
@located
@profiled
@as_json("config")
def command(directory: str | None, file: str | None, profiles: tuple[str, ...], *, writes_json: bool) -> None:
    """Print what pipeline.toml says, as TOML, with where each value comes from.

    Each task has the keys that `[defaults]` gives it, and the chosen profiles lie over all of it. A pipeline with
    parts is printed as one file, which can be built instead of them. In the folder of a part it is the part alone.
    What may be a secret in a URL is left out.
    """
    from nbmake_dag.commands.edited import profiles_elsewhere  # noqa: PLC0415 - not for --help
    from nbmake_dag.config.pipeline_file import effective  # noqa: PLC0415 - likewise
    from nbmake_dag.observe.instance_data import Disk, parts_at  # noqa: PLC0415 - likewise
    from nbmake_dag.present.config_document import config_document  # noqa: PLC0415 - likewise
    from nbmake_dag_reporting.documents import encode_document  # noqa: PLC0415 - likewise

    project = project_of(directory, file, profiles)
    name = project.relative(project.file)
    with open(project.file, "rb") as stream:
        text = stream.read()
    parts = {} if project.part else parts_at(project, text, Disk(project))
    elsewhere = profiles_elsewhere(project, name) if project.part else ()
    contents, lines = effective(text, file=name, profiles=project.profiles, elsewhere=elsewhere, parts=parts)
    content = _in_one_file(project, contents) if parts else contents[""]
    found = config_document(content, contents, lines, name, project.profiles)
    if writes_json:
        click.echo(encode_document(found), nl=False)
        return
    for line in _lines(found):
        click.echo(line)


def _in_one_file(project: Project, contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Read the notebooks and functions of a pipeline with parts, to know which parameters reach them."""
    from nbmake_dag.config.joined import in_one_file, reaching  # noqa: PLC0415 - not for --help
    from nbmake_dag.engine.loading import load_file  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.request import Request  # noqa: PLC0415 - likewise
    from nbmake_dag.engine.state.stores import Stores  # noqa: PLC0415 - likewise

    stores = Stores.open(project)
    try:
        loaded, pipeline = load_file(project, Request(), stores)
    finally:
        stores.close()
    return in_one_file(contents, reaching(loaded.file, loaded.signatures, pipeline))


def _lines(found: ConfigDocument) -> Iterator[str]:
    """Write it as TOML, with the origin of each value as a comment."""
    for table, values in groupby(found.values, lambda value: value.table):
        if table != found.values[0].table:
            yield ""
        yield f"[{'.'.join(map(_key, table))}]"
        for each in values:
            why = [f"profile {each.profile}"] if each.profile else []
            why += ["[defaults]"] if each.default else ["[parameters]"] if each.shared else []
            origin = ", ".join([f"{each.file}:{each.line}", *why])
            written = f"{_key(each.key)} = {_value(each.value)}"
            yield f"{written:<48}  # {origin}"


def _key(text: str) -> str:
    import tomlkit  # noqa: PLC0415 - not for --help

    return tomlkit.key(text).as_string()


def _value(value: object) -> str:
    """Write a value on one line."""
    import tomlkit  # noqa: PLC0415 - likewise

    match value:
        case dict():
            table = cast("dict[str, object]", value)
            return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in table.items())} }}"
        case list():
            return f"[{', '.join(map(_value, cast('list[object]', value)))}]"
        case _:
            return tomlkit.item(value).as_string()
