"""`nbdag config`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from nbmake_dag.commands.helping import Command
from nbmake_dag.commands.options import located, profiled, project_of

if TYPE_CHECKING:
    from nbmake_dag.config.lines import Lines

Place = tuple[str, ...]
_OF_TABLES = {("tasks",), ("sets",), ("report", "metrics")}
"""Tables whose entries are tables themselves."""


@click.command(
    cls=Command,
    examples={
        "nbdag config": "what the file says, defaults included",
        "nbdag config --profile ci": "what it says with a profile",
    },
)
@located
@profiled
def command(directory: str | None, file: str | None, profiles: tuple[str, ...]) -> None:
    """Print what pipeline.toml says, as TOML, with where each value comes from.

    Each task has the keys that `[defaults]` gives it, and the chosen profiles lie over all of it.
    """
    from nbmake_dag.config.pipeline_file import effective  # noqa: PLC0415 - not for --help

    project = project_of(directory, file, profiles)
    name = os.path.basename(project.config)
    with open(project.config, "rb") as stream:
        text = stream.read()
    content, lines = effective(text, file=name, profiles=project.profiles)
    for line in _Printed(content, lines, name).lines():
        click.echo(line)


class _Printed:
    """A pipeline file as it is printed."""

    def __init__(self, content: Mapping[str, Any], lines: Lines, file: str) -> None:
        self._content = content
        self._defaults: dict[str, Any] = {
            key: value for key, value in content.get("defaults", {}).items() if key != "parameters"
        }
        self._lines = lines
        self._file = file

    def lines(self) -> Iterator[str]:
        before: list[str] = []
        for place, values in self._tables((), self._content):
            yield from before
            yield f"[{'.'.join(map(_key, place))}]"
            before = [""]
            for key, value in values.items():
                written = f"{_key(key)} = {_value(value)}"
                yield f"{written:<48}  # {self._origin((*place, key))}"

    def _tables(self, place: Place, values: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Yield each table with the values that stand in it, then the tables in it."""
        from nbmake_dag.config.tasks import MERGED_KEYS, over  # noqa: PLC0415 - not for --help

        if len(place) == 2 and place[0] == "tasks":
            values = over(self._defaults, values)
        within = {
            key
            for key, value in values.items()
            if isinstance(value, dict)
            and (not place or place in _OF_TABLES or (*place, key) in _OF_TABLES or key in MERGED_KEYS)
        }
        if place and (own := {key: value for key, value in values.items() if key not in within}):
            yield place, own
        for key in values:
            if key in within:
                yield from self._tables((*place, key), values[key])

    def _origin(self, place: Place) -> str:
        """Return the line that a value stands in, and why it counts here."""
        why: list[str] = []
        if place[0] == "tasks" and not self._is_own(place):
            place = ("defaults", *place[2:])
            why.append("[defaults]")
        there = self._lines.place(place)
        if there[0] == "profiles" != place[0]:
            why.insert(0, f"profile {there[1]}")
        return ", ".join([f"{self._file}:{self._lines.of(place)}", *why])

    def _is_own(self, place: Place) -> bool:
        """Return whether a key of a task stands there, and not among the defaults."""
        found: Any = self._content
        for name in place:
            if name not in found:
                return False
            found = found[name]
        return True


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
