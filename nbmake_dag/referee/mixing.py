"""Mixes of two states of a project: which changes lie between them, and the files of a state with some of these.

The changes are those that decide a result: cells of notebooks that count, modules, inputs, what the pipeline file
says of tasks, and parameters of the command line. Cells are aligned first, so that each has a change of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import jupytext
import msgspec
import nbformat
import tomlkit

from nbmake_dag.core.lookup import literal
from nbmake_dag.core.model import ProjectPath, Value
from nbmake_dag.referee.alignment import Pair, Text, aligned, difference
from nbmake_dag.referee.order import Absent, Bytes, Content
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import jupytext_notebook, read_notebook

Place: TypeAlias = tuple[str, ...]

_ABSENT: Any = object()
_INJECTED = "injected-parameters"
_OTHER_KEYS = frozenset(
    {
        "timeout",
        "retries",
        "retry_delay",
        "priority",
        "cache",
        "store",
        "max_age",
        "strict",
        "sandbox",
        "resources",
        "pools",
        "tags",
        "description",
        "notebook_output",
    }
)
"""Keys of tasks that decide no result."""
_DECIDING = frozenset({"parameters", "defaults", "tasks", "sets", "software", "environments"})
"""Tables of a pipeline file that may decide results."""


class CellChange(msgspec.Struct, frozen=True, kw_only=True):
    """A cell that counts, and that is another one, new or gone. ``number`` counts all cells from 1."""

    path: str
    pair: Pair
    number: int
    what: str

    def __str__(self) -> str:
        return f"cell {self.number} of {os.path.basename(self.path)}" + (f" ({self.what})" if self.what else "")


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A module or an input with other bytes, new or gone."""

    kind: str
    path: ProjectPath
    what: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}" + (f" ({self.what})" if self.what else "")


class SettingChange(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the pipeline file, or of the ``part`` that is named."""

    place: Place
    before: str
    after: str
    part: str = ""

    def __str__(self) -> str:
        where = f"{self.part}: " if self.part else ""
        return f"{where}{'.'.join(self.place)} ({self.before} → {self.after})"


class OverrideChange(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of the command line."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"-p {self.name} ({self.before} → {self.after})"


Change: TypeAlias = CellChange | FileChange | SettingChange | OverrideChange


class NotebookSides(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook in both states, with the path that it has in each."""

    before: bytes
    after: bytes
    path_before: ProjectPath
    path_after: ProjectPath
    form: str = ""


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """Two states. ``config`` is the path of the pipeline file; files that both have alike are left out."""

    config: ProjectPath
    settings: Mapping[ProjectPath, tuple[Mapping[str, Any], Mapping[str, Any]]]
    """What that file and each of its parts say, with profiles laid over; nothing where one is not there."""
    notebooks: Sequence[NotebookSides] = ()
    files: Mapping[tuple[str, ProjectPath], tuple[Content, Content]]
    """By kind and path."""
    overrides_before: Mapping[str, Value]
    overrides_after: Mapping[str, Value]

    def changes(self) -> tuple[Change, ...]:
        """Return all changes, those of one file together."""
        return (*self._cells(), *self._files(), *self._settings(), *self._overrides())

    def _cells(self) -> Iterator[CellChange]:
        for notebook in self.notebooks:
            yield from _cell_changes(notebook)

    def _files(self) -> Iterator[FileChange]:
        for (kind, path), (before, after) in self.files.items():
            what = "new" if isinstance(before, Absent) else "removed" if isinstance(after, Absent) else ""
            if isinstance(before, Bytes) and isinstance(after, Bytes) and kind == "module":
                what = difference(before.data.decode(errors="replace"), after.data.decode(errors="replace"))
            yield FileChange(kind=kind, path=path, what=what)

    def _settings(self) -> Iterator[SettingChange]:
        for path, tables in self.settings.items():
            before, after = (dict(_leaves(table)) for table in tables)
            part = "" if path == self.config else path
            for place in dict.fromkeys((*before, *after)):
                old, new = before.get(place, _ABSENT), after.get(place, _ABSENT)
                if _decides(place) and (type(old), old) != (type(new), new):
                    yield SettingChange(place=place, before=_shown(old), after=_shown(new), part=part)

    def _overrides(self) -> Iterator[OverrideChange]:
        for name in dict.fromkeys((*self.overrides_before, *self.overrides_after)):
            old, new = self.overrides_before.get(name, _ABSENT), self.overrides_after.get(name, _ABSENT)
            if (type(old), old) != (type(new), new):
                yield OverrideChange(name=name, before=_shown(old), after=_shown(new))

    def mixed(self, some: Iterable[Change], epoch: str) -> tuple[dict[ProjectPath, Content], dict[str, Value]]:
        """Return the files, and the parameters of the command line, of the first state with some of the changes.

        ``epoch`` tells results from those of builds and of other repetitions.
        """
        chosen = frozenset(some)
        files: dict[ProjectPath, Content] = {}
        for notebook in self.notebooks:
            text = mixed_notebook(notebook, chosen)
            files |= dict.fromkeys((notebook.path_before, notebook.path_after), Bytes(text))
        for (kind, path), (before, after) in self.files.items():
            is_new = any(
                isinstance(change, FileChange) and (change.kind, change.path) == (kind, path) for change in chosen
            )
            files[path] = after if is_new else before
        settings = [change for change in chosen if isinstance(change, SettingChange)]
        files |= self._mixed_settings(settings, epoch)
        overrides = dict(self.overrides_before)
        for change in chosen:
            if isinstance(change, OverrideChange):
                overrides.pop(change.name, None)
                if change.name in self.overrides_after:
                    overrides[change.name] = self.overrides_after[change.name]
        return files, overrides

    def _mixed_settings(self, chosen: Iterable[SettingChange], epoch: str) -> dict[ProjectPath, Content]:
        tables = {path: deepcopy(dict(before)) for path, (before, _) in self.settings.items()}
        later = {path: dict(_leaves(after)) for path, (_, after) in self.settings.items()}
        for change in chosen:
            path = ProjectPath(change.part or self.config)
            _put(tables[path], change.place, later[path].get(change.place, _ABSENT))
        cache = tables[self.config].setdefault("cache", {})
        cache["epoch"] = f"{cache.get('epoch', '')} {epoch}".strip()
        if parts := [path for path in tables if path != self.config]:
            # one that only one side has is empty in the other
            tables[self.config].setdefault("pipeline", {})["parts"] = parts
        return {path: Bytes(tomlkit.dumps(table).encode()) for path, table in tables.items()}


# notebooks


def _cell_changes(notebook: NotebookSides) -> Iterator[CellChange]:
    before, after = (_cells_of(data, path, notebook.form) for data, path in _versions(notebook))
    for pair in _pairs(before, after):
        if not _differs(pair, before, after):
            continue
        old = before[pair.before] if pair.before is not None else None
        new = after[pair.after] if pair.after is not None else None
        number = (pair.after if pair.after is not None else pair.before or 0) + 1
        what = difference(old.source, new.source) if old and new else "new" if new else "removed"
        yield CellChange(path=notebook.path_after, pair=pair, number=number, what=what)


class _Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell: ``digest`` is empty where it does not count."""

    kind: str
    source: str
    digest: str
    tags: tuple[str, ...]


def _versions(notebook: NotebookSides) -> tuple[tuple[bytes, str], tuple[bytes, str]]:
    return (notebook.before, notebook.path_before), (notebook.after, notebook.path_after)


def _cells_of(data: bytes, path: str, form: str) -> list[_Cell]:
    source = read_notebook(data, path, form)
    digests = {cell.index: cell.digest for cell in identify(source).cells}
    return [
        _Cell(kind=cell.kind, source=cell.source, digest=digests.get(place, ""), tags=cell.tags)
        for place, cell in enumerate(source.cells)
    ]


def _pairs(before: Sequence[_Cell], after: Sequence[_Cell]) -> list[Pair]:
    return aligned(*([Text(cell.kind, cell.source) for cell in cells] for cells in (before, after)))


def _differs(pair: Pair, before: Sequence[_Cell], after: Sequence[_Cell]) -> bool:
    """Return whether a pair of cells decides a result in another way."""
    none = _Cell(kind="", source="", digest="", tags=())
    old = before[pair.before] if pair.before is not None else none
    new = after[pair.after] if pair.after is not None else none
    return old.digest != new.digest or ("parameters" in old.tags) != ("parameters" in new.tags)


def mixed_notebook(notebook: NotebookSides, chosen: frozenset[Change]) -> bytes:
    """Return the first version of a notebook with some of the changes of its cells."""
    before, after = (_cells_of(data, path, notebook.form) for data, path in _versions(notebook))
    cell_changes = (change for change in chosen if isinstance(change, CellChange))
    taken = {change.pair for change in cell_changes if change.path == notebook.path_after}
    old, new = (_document(data, path, notebook.form) for data, path in _versions(notebook))
    cells: list[Any] = []
    for pair in _pairs(before, after):
        place, source = (pair.after, new) if pair in taken else (pair.before, old)
        if pair not in taken and pair.before is None and not _differs(pair, before, after):
            continue
        if place is not None:
            cells.append(_own(source)[place])
    old.cells = cells
    return _written(old, notebook.path_before).encode()


def _own(document: Any) -> list[Any]:
    return [cell for cell in document.cells if _INJECTED not in cell.metadata.get("tags", ())]


def _document(data: bytes, path: str, form: str) -> Any:
    text = data.decode("utf-8-sig")
    extension = os.path.splitext(path)[1]
    if extension == ".ipynb":
        return nbformat.reads(text, 4)  # type: ignore[no-untyped-call]
    return jupytext_notebook(text.replace("\r\n", "\n"), extension, form)


def _written(document: Any, path: str) -> str:
    extension = os.path.splitext(path)[1]
    if extension == ".ipynb":
        # cells of two files may have the same identifier
        for place, cell in enumerate(document.cells):
            if "id" in cell:
                cell["id"] = f"mixed-{place}"
        text: str = nbformat.writes(document, 4)  # type: ignore[no-untyped-call]
        return text
    settings = document.metadata["jupytext"]
    if settings.get("cell_metadata_filter") == "-all":
        settings["cell_metadata_filter"] = "tags,-all"
    written: str = jupytext.writes(document, fmt=f"{extension}:{settings['text_representation']['format_name']}")
    return written


# settings


def _leaves(table: Mapping[str, Any], above: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield all values; an empty table says nothing."""
    for name, value in table.items():
        place = (*above, name)
        if isinstance(value, dict):
            yield from _leaves(value, place)
        else:
            yield place, value


def _decides(place: Place) -> bool:
    if place[0] not in _DECIDING:
        return False
    at = {"defaults": 1, "tasks": 2}.get(place[0])
    return at is None or len(place) <= at or place[at] not in _OTHER_KEYS


def _put(table: dict[str, Any], place: Place, value: Any) -> None:
    """Set a value, or take it away; a table that is left empty goes too, and one that is in the way."""
    *above, last = place
    tables = [table]
    for name in above:
        inner = tables[-1].get(name)
        if not isinstance(inner, dict):
            if value is _ABSENT:
                return
            inner = tables[-1][name] = {}
        tables.append(inner)
    if value is not _ABSENT:
        tables[-1][last] = value
        return
    tables[-1].pop(last, None)
    for name, holder, inner in zip(reversed(above), reversed(tables[:-1]), reversed(tables[1:]), strict=True):
        if not inner:
            holder.pop(name, None)


def _shown(value: Any) -> str:
    return "not set" if value is _ABSENT else literal(value)
