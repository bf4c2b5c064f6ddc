"""Two runs as two states that can be mixed: what of their ingredients differs, and where its bytes are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, assert_never, cast

import msgspec
import tomli

from nbmake_dag.config.profiles import overlaid, profiles_of
from nbmake_dag.core.facts import ABSENT
from nbmake_dag.core.model import ProjectPath, TaskName, Value
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.instance_data import Commit as InCommit
from nbmake_dag.observe.instance_data import Disk, parts_at
from nbmake_dag.observe.project import Project
from nbmake_dag.referee.contents import Contents
from nbmake_dag.referee.copies import file_of_commit
from nbmake_dag.referee.known_runs import with_above
from nbmake_dag.referee.mixing import NotebookSides, Sides
from nbmake_dag.referee.order import Absent, Base, Bytes, Commit, Content, Workspace
from nbmake_dag_cache.key import Ingredient, Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_reporting.bundle import Recorded

_OF_MACHINE = frozenset({"kernel", "package", "lockfile", "variable"})
"""Kinds of ingredients that no mix can have from one side or the other."""
_OF_FILES = frozenset({"cell", "parameters cell", "module", "input"})
_OF_NEITHER = frozenset({"format", "epoch", "origin", "secret", "read"})


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of two runs: the results of a task and of all above it, and the files that its copy begins with."""

    recorded: Recorded
    base: Base
    records: Mapping[TaskName, Record]
    takes_blobs: bool
    """Whether code may come from blobs of the run: those of a run made elsewhere hold what somebody else chose."""

    @property
    def run_id(self) -> str:
        return self.recorded.run.id


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two sides, in the form in which trials mix it."""

    sides: Sides
    common: Mapping[ProjectPath, Content]
    """Files that both sides have alike."""
    tasks: tuple[TaskName, ...]
    """The tasks that differ: these are executed."""
    given: Mapping[TaskName, Record]
    """The results of the others, which both runs took."""
    machine: tuple[str, ...]
    """Ingredients that differ and that nothing here can mix."""
    files: tuple[str, ...]
    """Modules, cells and inputs that differ, wherever their bytes are."""


def side_of(project: Project, recorded: Recorded, task: TaskName, base: Base, *, trusted: bool) -> Side:
    """Read what a run had; raises `UsageError` where a record is gone. ``trusted``: any code of it may run."""
    store, records = RecordStore(project.cache), dict[TaskName, Record]()
    for name in with_above(recorded.run, [task]):
        ref = recorded.run.tasks[name].record
        record = store.get(Key(ref.own_key), Key(ref.key)) if ref else None
        if record is None:
            what = f"run {recorded.run.id} has no result of `{name}` that is still recorded"
            raise UsageError(what, (), "a run whose records are in the cache here can be compared")
        records[name] = record
    takes_blobs = trusted or is_own(project, recorded)
    return Side(recorded=recorded, base=base, records=records, takes_blobs=takes_blobs)


def is_own(project: Project, recorded: Recorded) -> bool:
    """Return whether a run was made in this checkout."""
    return os.path.dirname(recorded.run.directory) == project.runs


def commit_of(side: Side) -> str | None:
    """Return the commit that a run saw, with or without other changes."""
    vcs = side.recorded.run.vcs
    return vcs.merge_revision or vcs.head_revision


def bases_of(recorded: Recorded) -> list[Base]:
    """Return what the copy of a run may begin with: its commit, and where that is not certain the workspace."""
    vcs = recorded.run.vcs
    commit = vcs.merge_revision or vcs.head_revision
    commits: list[Base] = [Commit(commit)] if commit else []
    return commits if commits and vcs.dirty is False else [*commits, Workspace()]


def difference(project: Project, before: Side, after: Side) -> Difference:
    """Find what differs between two runs; raises `UsageError` for an input that is nowhere as it was."""
    reader = _Reader(project, before, after)
    differing = [name for name in after.records if _key(before, name) != _key(after, name)]
    same_tasks = before.records.keys() == after.records.keys()
    given = {name: record for name, record in after.records.items() if name not in differing} if same_tasks else {}
    tasks = tuple(differing if same_tasks else after.records)
    items = {
        which: (old, new)
        for name in dict.fromkeys((*before.records, *after.records))
        for which, old, new in _changed(before.records.get(name), after.records.get(name))
    }
    kinds = {kind for kind, _, _ in items}
    has_settings = not same_tasks or bool(kinds - _OF_FILES - _OF_MACHINE - _OF_NEITHER)
    old = reader.settings(before)
    new = reader.settings(after) if has_settings else old
    names = {side.recorded.run.tasks[name].family for side in (before, after) for name in side.records}
    return Difference(
        sides=Sides(
            config=ProjectPath(os.path.basename(project.config)),
            settings={
                path: (old.get(path, {}), _of_tasks(path, old.get(path, {}), new.get(path, {}), names))
                for path in dict.fromkeys((*old, *new))
            },
            notebooks=tuple(reader.notebooks(before, after, tasks)),
            files={**reader.modules(before, after, items), **reader.inputs(before, after, items)},
            overrides_before=cast("dict[str, Value]", dict(before.recorded.run.parameters)),
            overrides_after=cast("dict[str, Value]", dict(after.recorded.run.parameters)),
        ),
        common=reader.common(before, tasks),
        tasks=tasks,
        given=given,
        machine=tuple(sorted({_named(kind, name) for kind, name, _ in items if kind in _OF_MACHINE})),
        files=tuple(sorted({_named(kind, path or name) for kind, name, path in items if kind in _OF_FILES})),
    )


def _key(side: Side, name: TaskName) -> tuple[str, str] | None:
    record = side.records.get(name)
    return (record.own_key, record.key) if record else None


def _changed(
    before: Record | None, after: Record | None
) -> Iterator[tuple[tuple[str, str, str], str | None, str | None]]:
    """Yield the ingredients that differ, by kind, name and path, with their values; not what tasks above made."""
    old, new = (
        {item.which: item.value for item in record.ingredients if item.stage != "upstream"} if record else {}
        for record in (before, after)
    )
    for which in dict.fromkeys((*old, *new)):
        if old.get(which) != new.get(which):
            yield which, old.get(which), new.get(which)


def _named(kind: str, name: str) -> str:
    return f"{kind} {name}".strip()


def _of_tasks(
    path: ProjectPath, before: Mapping[str, Any], after: Mapping[str, Any], families: Iterable[str]
) -> dict[str, Any]:
    """Return the later settings of a file, with those of other tasks as they were before."""
    folder = os.path.join(os.path.dirname(path), "")
    mixed, chosen = deepcopy(dict(after)), {name.removeprefix(folder) for name in families}
    tasks = {name: table for name, table in before.get("tasks", {}).items() if name not in chosen}
    mixed["tasks"] = {**tasks, **{name: t for name, t in after.get("tasks", {}).items() if name in chosen}}
    return mixed


class _Reader:
    """Finds the bytes of files as a side had them."""

    def __init__(self, project: Project, *sides: Side) -> None:
        self._project = project
        records = [record for side in sides for record in side.records.values()]
        self._contents = Contents(project, records, filter(None, map(commit_of, sides)))

    def settings(self, side: Side) -> dict[ProjectPath, dict[str, Any]]:
        """Return what the pipeline file and its parts say, with the profiles of the run laid over."""
        name, base = os.path.basename(self._project.config), side.base
        data = self.read(base, ProjectPath(name))
        if data is None:
            raise UsageError(f"a run's {name} is nowhere", (("looked in", _called(base)),))
        where = InCommit(self._project, base.revision) if isinstance(base, Commit) else Disk(self._project)
        parts = parts_at(self._project, data, where)
        texts = {name: data, **{path: text for path, text in parts.items() if isinstance(text, bytes)}}
        return {ProjectPath(path): _under(text, path, side.recorded.run.profiles) for path, text in texts.items()}

    def read(self, base: Base, path: ProjectPath) -> bytes | None:
        place = self._project.absolute(path)
        match base:
            case Workspace():
                if not os.path.isfile(place):
                    return None
                with open(place, "rb") as file:
                    return file.read()
            case Commit(revision=revision):
                within = os.path.relpath(os.path.realpath(place), os.path.realpath(self._project.repository))
                found = file_of_commit(self._project.repository, revision, within)
                return None if found is None else found[0]
            case _:
                assert_never(base)

    def notebooks(self, before: Side, after: Side, tasks: Iterable[TaskName]) -> Iterator[NotebookSides]:
        """Yield the notebooks of tasks that both runs have, whose texts differ, each once."""
        seen: set[tuple[str, str]] = set()
        for name in tasks:
            old, new = before.recorded.run.tasks.get(name), after.recorded.run.tasks.get(name)
            if old is None or new is None or not (old.path and new.path) or (old.path, new.path) in seen:
                continue
            seen.add((old.path, new.path))
            texts = self._text(before, name), self._text(after, name)
            if texts[0] is not None and texts[1] is not None and texts[0] != texts[1]:
                yield NotebookSides(
                    before=texts[0],
                    after=texts[1],
                    path_before=ProjectPath(old.path),
                    path_after=ProjectPath(new.path),
                    form=new.form,
                )

    def _text(self, side: Side, name: TaskName) -> bytes | None:
        """Return a notebook as a run saw it: from a blob, else from its base."""
        task = side.recorded.run.tasks[name]
        blobs = (task.notebook_source, side.records[name].source if name in side.records else None)
        for blob in blobs if side.takes_blobs else ():
            if blob and (data := side.recorded.blob(blob)) is not None:
                return data
        return self.read(side.base, ProjectPath(task.path)) if task.path else None

    def modules(
        self, before: Side, after: Side, items: Iterable[tuple[str, str, str]]
    ) -> dict[tuple[str, ProjectPath], tuple[Content, Content]]:
        found: dict[tuple[str, ProjectPath], tuple[Content, Content]] = {}
        for kind, name, _ in items:
            if kind == "module" and not name.endswith("/"):
                old, new = (self.read(side.base, ProjectPath(name)) for side in (before, after))
                if old != new:
                    found["module", ProjectPath(name)] = _content(old), _content(new)
        return found

    def inputs(
        self,
        before: Side,
        after: Side,
        items: Mapping[tuple[str, str, str], tuple[str | None, str | None]],
    ) -> dict[tuple[str, ProjectPath], tuple[Content, Content]]:
        found: dict[tuple[str, ProjectPath], tuple[Content, Content]] = {}
        for (kind, _, path), (old, new) in items.items():
            if kind == "input" and path:
                where = ProjectPath(path)
                found["input", where] = self._input(before, where, old), self._input(after, where, new)
        return found

    def common(self, side: Side, tasks: Iterable[TaskName]) -> dict[ProjectPath, Content]:
        """Return the inputs and notebooks of one side, which stay where nothing else is chosen."""
        found: dict[ProjectPath, Content] = {}
        for name in tasks:
            record = side.records.get(name)
            for item in record.ingredients if record else ():
                if _is_external(item):
                    found[ProjectPath(item.path)] = self._input(side, ProjectPath(item.path), item.value)
            task = side.recorded.run.tasks.get(name)
            if task and task.path and (text := self._text(side, name)) is not None:
                found[ProjectPath(task.path)] = Bytes(text)
        return found

    def _input(self, side: Side, path: ProjectPath, digest: str | None) -> Content:
        """Return where an input is as a side had it; raises `UsageError` where it is nowhere."""
        if digest is None or digest == ABSENT:
            return Absent()
        found = self._contents.find(path, digest)
        if found is None:
            hint = "`[runs] keep_inputs = true` keeps what neither git nor the workspace has as it was"
            raise UsageError(f"{path} is not stored as run {side.run_id} had it", (), hint)
        return found


def _is_external(item: Ingredient) -> bool:
    return item.kind == "input" and item.stage == "own" and bool(item.path) and not item.path.endswith("/")


def _under(text: bytes, path: str, profiles: Iterable[str]) -> dict[str, Any]:
    """Return what a pipeline file says with profiles laid over it."""
    try:
        content = tomli.loads(text.decode().replace("\r\n", "\n"))
        return overlaid(content, [name for name in profiles if name in profiles_of(content)])[0]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read as a run saw it", (("because", str(error)),)) from error


def _content(data: bytes | None) -> Content:
    return Absent() if data is None else Bytes(data)


def _called(base: Base) -> str:
    return f"commit {base.revision[:10]}" if isinstance(base, Commit) else "the workspace"
