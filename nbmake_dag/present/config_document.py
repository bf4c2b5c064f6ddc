"""What a pipeline file says, each value with its place: what `nbdag config --json` writes, and prints as TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from msgspec import Struct

from nbmake_dag.config.lines import Lines
from nbmake_dag.config.tasks import MERGED_KEYS, over
from nbmake_dag.core.urls import without_secrets
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
    file: Annotated[str, described("the file that it stands in, a part or that of the pipeline")]
    line: Annotated[int, described("the line that it stands in, from 1")]
    profile: Annotated[str | None, described("the profile that it comes from")]
    default: Annotated[bool, described("whether it comes from `[defaults]`")]
    shared: Annotated[
        bool, described("whether a task has it from `[parameters]`: where several files are printed as one")
    ]


class ConfigDocument(Struct, frozen=True, kw_only=True):
    """What the pipeline file says, with `[defaults]` and profiles laid over the tasks."""

    format: Format = 1
    file: Annotated[str, described("the name of the file")]
    profiles: Annotated[tuple[str, ...], described("those that were chosen")]
    values: Annotated[tuple[ValueDocument, ...], described("in the order of the file")]


def config_document(
    content: Mapping[str, Any],
    contents: Mapping[str, Mapping[str, Any]],
    lines: Lines,
    file: str,
    profiles: Sequence[str],
) -> ConfigDocument:
    """Describe the ``content`` of a file, over which the profiles are laid already.

    It says what its ``contents`` say, which are those of one file, or of several by folder.
    """
    values = tuple(_Values(content, contents, lines, file))
    return ConfigDocument(file=file, profiles=tuple(profiles), values=values)


class _Values:
    """The values of a file, in its order."""

    def __init__(
        self,
        content: Mapping[str, Any],
        contents: Mapping[str, Mapping[str, Any]],
        lines: Lines,
        file: str,
    ) -> None:
        self._content = content
        self._contents = contents
        self._defaults: dict[str, Any] = {
            key: value for key, value in content.get("defaults", {}).items() if key != "parameters"
        }
        self._lines = lines
        self._file = file

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
        """Return a value with the file and the line that it stands in, and why it counts here."""
        place = (*table, key)
        source = self._source(place) if place[0] == "tasks" else None
        if source is not None:
            folder = self._lines.folder_of(place[1])
            place = (*(("parts", f"{folder}/") if folder else ()), source, *place[2:])
            if source == "parameters":
                place = (*place[:-2], place[-1])
        return ValueDocument(
            table=table,
            key=key,
            value=_shown(value),
            file=self._lines.file_of(place, self._file),
            line=self._lines.of(place),
            profile=self._lines.profile_of(place),
            default=source == "defaults",
            shared=source == "parameters",
        )

    def _source(self, place: Place) -> Literal["defaults", "parameters"] | None:
        """Return which other table of its file the value of a task comes from."""
        folder = self._lines.folder_of(place[1])
        content, name = self._contents[folder], place[1].removeprefix(f"{folder}/") if folder else place[1]
        if _has(content["tasks"][name], place[2:]):
            return None
        if _has(content.get("defaults", {}), place[2:]):
            return "defaults"
        is_shared = place[2] == "parameters" and place[-1] in content.get("parameters", {})
        return "parameters" if is_shared else None


def _shown(value: object) -> object:
    """Return a value without what may be a secret in URLs: it is printed, and logs of CI can be read by many."""
    match value:
        case str():
            return without_secrets(value)
        case list():
            return [_shown(item) for item in cast("list[object]", value)]
        case dict():
            return {key: _shown(item) for key, item in cast("dict[str, object]", value).items()}
        case _:
            return value


def _has(table: Any, place: Place) -> bool:
    """Return whether a key stands there."""
    for name in place:
        if name not in table:
            return False
        table = table[name]
    return True
