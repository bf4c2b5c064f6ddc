"""Where the instances of a task come from: lists, rows, files, or what other tasks have too.

Names and keys of instances depend on their own values alone, never on where these came from: a row or file that
joins adds one instance, and touches no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from nbmake_dag.config import matrix
from nbmake_dag.config.captures import CaptureError, Captures, read_captures
from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.paths import PathError, read_path
from nbmake_dag.config.rows import EXTENSIONS, Row, RowsError, read_rows
from nbmake_dag.config.values import name_fault, shortened, spelling, value_fault
from nbmake_dag.core.globs import is_glob
from nbmake_dag.core.model import Input, ProjectPath, TaskName, Value

Place: TypeAlias = tuple[str, ...]
_SOURCES = ("product", "rows", "files", "set")


class Unreadable(msgspec.Struct, frozen=True):
    """Why a file cannot be read; ``what`` goes on from "`data/x.csv` …"."""

    what: str


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is on disk of all that instances come from. Of what is missing here nobody knows the instances."""

    rows: Mapping[str, bytes | Unreadable] = {}
    """The content of files, by their path."""
    files: Mapping[str, tuple[ProjectPath, ...]] = {}
    """The files that match, sorted, by glob."""
    awaited: frozenset[str] = frozenset()
    """The paths and globs of what tasks make, and have yet to make."""


class Instances(msgspec.Struct, frozen=True, kw_only=True):
    """The instances of one task. ``place`` is the key that they come from."""

    names: tuple[TaskName, ...]
    points: tuple[dict[str, Value], ...]
    place: Place
    why_none: str = ""
    """Where there are none: the reason."""
    source: Input | None = None
    """The file with their rows, or the glob of their files."""
    is_awaited: bool = False
    """Nobody can know them yet."""

    def __len__(self) -> int:
        return len(self.names)


class _Rows(msgspec.Struct, frozen=True):
    """Points with what each is called in complaints; ``why_none`` where data may have none."""

    rows: list[Row]
    origin: str = ""
    why_none: str = ""
    source: Input | None = None
    is_awaited: bool = False


class Families:
    """The instances of all tasks of a file, each source read once."""

    def __init__(
        self,
        families: Mapping[str, Mapping[str, Any]],
        sets: Mapping[str, Mapping[str, Any]],
        overrides: Mapping[str, Value],
        found: Found,
        complaints: Complaints,
    ) -> None:
        self._families = families
        self._sets = sets
        self._overrides = overrides
        self._found = found
        self._complaints = complaints
        self._of_sets: dict[str, _Rows | None] = {}
        self.files: dict[ProjectPath, Place] = {}
        """The files that instances come from, with the key that names them."""

    def instances(self) -> dict[str, Instances | None]:
        """Return the instances of each task; ``None`` where they are wrong, or not known."""
        found = {name: self._of_family(name, keys) for name, keys in self._families.items()}
        for name in self._sets.keys() - self._of_sets.keys():
            self._of_set(name)
        counts = {name: len(rows.rows) for name, (rows, _) in found.items() if rows is not None}
        if (total := sum(counts.values())) > matrix.MAX_TASKS:
            largest = max(counts, key=counts.__getitem__)
            what = f"the pipeline has {total:,} tasks, more than {matrix.MAX_TASKS:,}"
            self._complaints.add(found[largest][1], what, f"`{largest}` alone has {counts[largest]:,}")
            return dict.fromkeys(self._families)
        return {
            name: None
            if rows is None
            else Instances(
                names=tuple(matrix.instance_name(name, row.values) for row in rows.rows),
                points=tuple(row.values for row in rows.rows),
                place=place,
                why_none=rows.why_none,
                source=rows.source,
                is_awaited=rows.is_awaited,
            )
            for name, (rows, place) in found.items()
        }

    def _of_family(self, name: str, keys: Mapping[str, Any]) -> tuple[_Rows | None, Place]:
        at = ("tasks", name)
        if "instances" in keys:
            if "matrix" in keys:
                hint = "write the lists of `matrix` as `product` in `instances`"
                self._complaints.add((*at, "instances"), f"task `{name}` has `matrix` and `instances`", hint)
                return None, (*at, "instances")
            table: Mapping[str, Any] = keys["instances"]
            if "set" in table:
                return self._named(table, (*at, "instances"))
            return self._of_table(table, (*at, "instances"), name), (*at, "instances")
        rows = self._product(keys.get("matrix", {}), (), (), (*at, "matrix"), name)
        return rows, (*at, "matrix")

    def _named(self, table: Mapping[str, Any], at: Place) -> tuple[_Rows | None, Place]:
        name = table["set"]
        if len(table) > 1:
            self._complaints.add(
                at, f"`instances` has a `set` and other keys: {_listed(table, 'set')}", "keep one"
            )
            return None, at
        if name not in self._sets:
            hint = self._complaints.suggest(name, tuple(self._sets)) or f"write it as a table `[sets.{name}]`"
            self._complaints.add(at, f"there is no set `{name}`", hint)
            return None, at
        return self._of_set(name), ("sets", name)

    def _of_set(self, name: str) -> _Rows | None:
        if name not in self._of_sets:
            table, at = self._sets[name], ("sets", name)
            if "set" in table:
                self._complaints.add(at, f"the set `{name}` names another set", "give it the instances themselves")
                self._of_sets[name] = None
            else:
                self._of_sets[name] = self._of_table(table, at, name)
        return self._of_sets[name]

    def _of_table(self, table: Mapping[str, Any], at: Place, name: str) -> _Rows | None:
        """Return the rows of a table with one source."""
        sources = [key for key in _SOURCES if key in table]
        if len(sources) != 1:
            has = " and ".join(f"`{key}`" for key in sources) if sources else "no source"
            self._complaints.add(
                at, f"the instances of `{name}` have {has}", "give one of `product`, `rows`, `files`"
            )
            return None
        (source,) = sources
        for key in ("exclude", "include"):
            if key in table and source != "product":
                self._complaints.add(at, f"`{key}` is for `product`, and `{name}` has `{source}`", "leave it out")
                return None
        if "types" in table and (source == "product" or isinstance(table[source], list)):
            hint = "leave it out: values of this file have their types"
            self._complaints.add(at, f"`types` is for files of data, and `{name}` has none", hint)
            return None
        match source:
            case "product":
                product, exclude = table["product"], table.get("exclude", ())
                return self._product(product, exclude, table.get("include", ()), (*at, "product"), name)
            case "rows" if isinstance(table["rows"], list):
                rows = [Row(values, f"row {number}") for number, values in enumerate(table["rows"], 1)]
                if not rows:
                    self._complaints.add(at, f"`rows` is empty, so that `{name}` has no instances")
                    return None
                return self._checked(_Rows(rows, "`rows`"), at)
            case "rows":
                return self._rows_of_file(table["rows"], table.get("types", {}), at)
            case _:
                return self._files(table["files"], table.get("types", {}), at)

    def _rows_of_file(self, text: str, types: Mapping[str, Any], at: Place) -> _Rows | None:
        try:
            path = read_rows_path(text)
        except PathError as error:
            self._complaints.add(at, f'`rows = "{text}"` {error.what}', error.hint)
            return None
        if path in self._found.awaited:
            return _Rows([], source=Input(path=path), is_awaited=True)
        self.files[path] = at
        data = self._found.rows.get(path)
        match data:
            case None:
                return None
            case Unreadable(what=what):
                hint = "it is relative to the folder of this file"
                self._complaints.add(at, f"`{path}`, whose rows are instances, {what}", hint)
                return None
            case _:
                pass
        try:
            rows = read_rows(path, data, types)
        except RowsError as error:
            self._complaints.add(at, f"`{path}` {error.what}", error.hint)
            return None
        return self._checked(_Rows(rows, f"`{path}`", f"`{path}` has no rows", Input(path=path)), at)

    def _files(self, pattern: str, types: Mapping[str, Any], at: Place) -> _Rows | None:
        try:
            captures = read_captures(pattern)
        except PathError as error:
            self._complaints.add(at, f'`files = "{pattern}"` {error.what}', error.hint)
            return None
        if unknown := [name for name in types if name not in captures.names]:
            hint = self._complaints.suggest(unknown[0], captures.names)
            self._complaints.add(at, f"`{pattern}` has no `{{{unknown[0]}}}`, which `types` names", hint)
            return None
        source = Input(path=ProjectPath(captures.glob), is_glob=True)
        if captures.glob in self._found.awaited:
            return _Rows([], source=source, is_awaited=True)
        paths = self._found.files.get(captures.glob)
        if paths is None:
            return None
        rows: list[Row] = []
        for path in paths:
            self.files[path] = at
            try:
                rows.append(Row(captures.values(path, types), f"`{path}`"))
            except CaptureError as error:
                if error.what:
                    self._complaints.add(at, f"`{path}` {error.what}", f"it matches `{pattern}`")
                    return None
        return self._checked(_Rows(rows, "`files`", f"no file matches `{pattern}`", source), at)

    def _product(
        self,
        axes: Mapping[str, list[Value]],
        exclude: tuple[Mapping[str, Value], ...],
        include: tuple[Mapping[str, Value], ...],
        at: Place,
        name: str,
    ) -> _Rows | None:
        """Return the combinations of lists; a name of ``-p`` replaces all values of its list."""
        if not self._are_axes(axes, at, name):
            return None
        taken = {key: self._overrides.get(key) for key in axes if key in self._overrides}
        axes = {key: [taken[key]] if key in taken else values for key, values in axes.items()}
        if (count := matrix.count(axes)) > matrix.MAX_TASKS:
            what = f"the pipeline has {count:,} tasks, more than {matrix.MAX_TASKS:,}"
            self._complaints.add(at[:-1] if at[-1] == "product" else at, what, f"`{name}` alone has {count:,}")
            return None
        for number, row in enumerate(exclude, 1):
            if unknown := [key for key in row if key not in axes]:
                what = f"row {number} of `exclude` has `{unknown[0]}`, which `product` has not"
                self._complaints.add(
                    (*at[:-1], "exclude"), what, self._complaints.suggest(unknown[0], tuple(axes))
                )
                return None
        points = [point for point in matrix.points(axes) if not any(_has(point, row) for row in exclude)]
        if not exclude and not include:
            return _Rows([Row(point, "") for point in points])
        kept = [
            (number, row)
            for number, row in enumerate(include, 1)
            if all(_same(row[key], value) for key, value in taken.items() if key in row)
        ]
        rows = _with_included(points, kept, axes)
        if not rows:
            self._complaints.add((*at[:-1], "exclude"), f"`exclude` leaves no instance of `{name}`")
            return None
        return self._checked(_Rows(rows, "`product` with `include`"), at[:-1], replaced=taken)

    def _are_axes(self, axes: Mapping[str, list[Value]], at: Place, name: str) -> bool:
        before = len(self._complaints)
        for key, values in axes.items():
            path = (*at, key)
            if fault := name_fault(key):
                self._complaints.add(path, f"`{key}` cannot be a parameter: it {fault}")
            if fault := value_fault(values):
                what = f"`{key}` cannot have these values: it {fault}"
                self._complaints.add(path, what, "write them as strings")
            elif len(set(map(spelling, values))) < len(values):
                self._complaints.add(path, f"`{key}` has a value twice")
            whose = f"task `{name}`" if at[0] == "tasks" else f"the set `{name}`"
            if not values:
                self._complaints.add(path, f"`{key}` has no values, so that {whose} has no instances")
            if isinstance(self._overrides.get(key), list) and not any(isinstance(each, list) for each in values):
                what = f"`{key}` is a key of the matrix of {whose}, and takes one value, not a list"
                self._complaints.add_unplaced(what, f"build once for each, as with `-p {key}=...`")
        return len(self._complaints) == before

    def _checked(self, found: _Rows, at: Place, *, replaced: Collection[str] = ()) -> _Rows | None:
        """Complain of the first row that cannot be an instance; ``replaced`` have the value of ``-p`` already."""
        if found.rows and (fault := self._fault(found, self._overrides.keys() - set(replaced))):
            self._complaints.add(at, *fault)
            return None
        return found

    def _fault(self, found: _Rows, overridden: Collection[str]) -> tuple[str, str] | None:
        """Return what is wrong with rows, and a hint."""
        columns = found.rows[0].values.keys()
        for name in columns:
            if fault := name_fault(name):
                what = f"{found.origin} has a column `{shortened(name)}`, which cannot be a parameter: it {fault}"
                return what, "separate columns by commas" if set(name) & set(";\t|") else ""
            if name in overridden:
                return f"`{name}` is a column of {found.origin}, whose values -p cannot replace", ""
        if not columns:
            return f"{found.origin} has no columns in {found.rows[0].place}", ""
        seen: dict[str, str] = {}
        for row in found.rows:
            if row.values.keys() != columns:
                missing = min(columns ^ row.values.keys())
                has, lacks = (found.rows[0], row) if missing in columns else (row, found.rows[0])
                what = f"{found.origin} has `{missing}` in {has.place}, and none in {lacks.place}"
                return what, "give it a value in each of them"
            for name, value in row.values.items():
                if fault := value_fault(value):
                    what = f"`{name}` in {row.place} of {found.origin} cannot be a value: it {fault}"
                    return what, "write it as a string"
            name = matrix.instance_name("", row.values)
            if name in seen:
                what = f"{found.origin} has the same values in {seen[name]} and in {row.place}: {shortened(name)}"
                return what, "leave one of them out"
            seen[name] = row.place
        return None


def read_rows_path(text: str) -> ProjectPath:
    """Read the path of a file with rows; raises `PathError`."""
    if is_glob(text):
        raise PathError("is a glob", "name one file; for one instance for each file write `files`")
    path = read_path(text)
    if not path.endswith(EXTENSIONS):
        raise PathError(f"is none of {', '.join(f'`{extension}`' for extension in EXTENSIONS)}")
    return path


def wanted(tables: Iterator[Mapping[str, Any]]) -> tuple[list[ProjectPath], list[Captures]]:
    """Return the files with rows, and the patterns of files, that tables name, those that can be read."""
    rows: dict[ProjectPath, None] = {}
    files: dict[str, Captures] = {}
    for table in tables:
        try:
            if isinstance(text := table.get("rows"), str):
                rows[read_rows_path(text)] = None
            if "files" in table:
                captures = read_captures(table["files"])
                files[captures.glob] = captures
        except PathError:
            continue
    return list(rows), list(files.values())


def _with_included(
    points: list[dict[str, Value]], include: list[tuple[int, Mapping[str, Value]]], axes: Mapping[str, object]
) -> list[Row]:
    """Add to combinations the other values of rows that contradict none of theirs, then the rows that fit none."""
    added: list[Row] = []
    for number, row in include:
        fitting = [point for point in points if all(_same(point[key], row[key]) for key in row if key in axes)]
        for point in fitting:
            point.update(row)
        if not fitting:
            added.append(Row(dict(row), f"row {number} of `include`"))
    return [*(Row(point, f"combination {number}") for number, point in enumerate(points, 1)), *added]


def _has(point: Mapping[str, Value], row: Mapping[str, Value]) -> bool:
    return all(_same(point[key], value) for key, value in row.items())


def _same(one: Value, other: Value) -> bool:
    return value_fault(one) is None and value_fault(other) is None and spelling(one) == spelling(other)


def _listed(table: Mapping[str, Any], but: str) -> str:
    return ", ".join(f"`{key}`" for key in table if key != but)
