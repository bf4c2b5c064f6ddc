"""What a pipeline file says, each value with its place: what `nbdag config --json` writes, and prints as TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Struct

from nbmake_dag.config.lines import Lines
from nbmake_dag.config.tasks import MERGED_KEYS, over
from nbmake_dag_reporting.documents import Format, described

Place = tuple[str, ...]
_OF_TABLES = {("tasks",), ("sets",), ("report", "metrics")}
"""Tables whose entries are tables themselves."""


class ValueDocument(Struct, frozen=True, kw_only=True):
    """One value."""

    table: Annotated[
        tuple[str, ...], described("the table that it counts in: `[tasks.train]` is `tasks`, `train`")
    ]
    key: Annotated[str, described("the key")]
    value: Annotated[Any, described("the value; an object for a table within a line")]
    line: Annotated[int, described("the line that it stands in, from 1")]
    profile: Annotated[str | None, described("the profile that it comes from")]
    default: Annotated[bool, described("whether it comes from `[defaults]`")]


class ConfigDocument(Struct, frozen=True, kw_only=True):
    """What the pipeline file says, with `[defaults]` and profiles laid over the tasks."""

    format: Format = 1
    file: Annotated[str, described("the name of the file")]
    profiles: Annotated[tuple[str, ...], described("those that were chosen")]
    values: Annotated[tuple[ValueDocument, ...], described("in the order of the file")]


def config_document(
    content: Mapping[str, Any], lines: Lines, file: str, profiles: Sequence[str]
) -> ConfigDocument:
    """Describe the ``content`` of a file, over which the profiles are laid already."""
    return ConfigDocument(file=file, profiles=tuple(profiles), values=tuple(_Values(content, lines)))


class _Values:
    """The values of a file, in its order."""

    def __init__(self, content: Mapping[str, Any], lines: Lines) -> None:
        self._content = content
        self._defaults: dict[str, Any] = {
            key: value for key, value in content.get("defaults", {}).items() if key != "parameters"
        }
        self._lines = lines

    def __iter__(self) -> Iterator[ValueDocument]:
        for table, values in self._tables((), self._content):
            for key, value in values.items():
                yield self._described(table, key, value)

    def _tables(self, place: Place, values: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Yield each table with the values that stand in it, then the tables in it."""
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

    def _described(self, table: Place, key: str, value: object) -> ValueDocument:
        """Return a value with the line that it stands in, and why it counts here."""
        place = (*table, key)
        is_default = place[0] == "tasks" and not self._is_own(place)
        if is_default:
            place = ("defaults", *place[2:])
        there = self._lines.place(place)
        return ValueDocument(
            table=table,
            key=key,
            value=value,
            line=self._lines.of(place),
            profile=there[1] if there[0] == "profiles" != place[0] else None,
            default=is_default,
        )

    def _is_own(self, place: Place) -> bool:
        """Return whether a key of a task stands there, and not among the defaults."""
        found: Any = self._content
        for name in place:
            if name not in found:
                return False
            found = found[name]
        return True
