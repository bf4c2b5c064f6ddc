"""What the instances of a family come from, where tasks make it: read from the results of those tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec.structs import replace

from nbmake_dag.config.pipeline_file import Found, Unreadable
from nbmake_dag.core.decide import UpToDate
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.globs import escaped, matches, may_overlap
from nbmake_dag.core.graph import Graph, deciding_tasks
from nbmake_dag.core.model import Input, ProjectPath, TaskName
from nbmake_dag.core.plan import Verdict
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.observe.instance_data import Data, rows_at
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobError
from nbmake_dag_cache.digest import digest_bytes
from nbmake_dag_cache.record import OutputFile

_MAX_ROWS = 1 << 30
"""Bytes of a file with rows."""


def awaiting(graph: Graph, but: Collection[str] = ()) -> dict[Input, frozenset[TaskName]]:
    """Return what families come from that are not known, with the tasks that must have results before.

    It is left out where other such families may make it, and so are the paths and globs ``but``.
    """
    sources = {
        task.source: task.name for task in graph.tasks.values() if task.is_unknown and task.source is not None
    }
    return {
        source: deciding_tasks(source, graph.source_makers[source])
        for source, family in sources.items()
        if source.path not in but and not _may_grow(source, family, graph)
    }


def _may_grow(source: Input, family: TaskName, graph: Graph) -> bool:
    pattern = source.path if source.is_glob else escaped(source.path)
    return any(name != family and may_overlap(glob, pattern) for name, glob in graph.unknown)


class Made:
    """Reads what instances come from; of files on disk only those count that no task made, or has left."""

    def __init__(self, project: Project, stores: Stores, data: Data) -> None:
        self._project = project
        self._stores = stores
        self._data = data

    def add(
        self,
        known: Found,
        graph: Graph,
        source: Input,
        results: Mapping[TaskName, Result],
        on_disk: Callable[[], Iterable[ProjectPath]],
    ) -> Found:
        """Add to what is known one thing that instances come from, whose makers have results."""
        makers = graph.source_makers[source]
        if not source.is_glob:
            return replace(known, rows={**known.rows, source.path: self._rows(source.path, makers, results)})
        made = {path for maker in makers for path in _paths(*maker, results) if matches(source.path, path)}
        others = {path for path in on_disk() if graph.owner_of(path) is None}
        return replace(known, files={**known.files, source.path: tuple(sorted(made | others))})

    def _rows(
        self,
        path: ProjectPath,
        makers: tuple[tuple[TaskName, ProjectPath], ...],
        results: Mapping[TaskName, Result],
    ) -> bytes | Unreadable:
        if not makers:
            return rows_at(path, self._data)
        ((maker, declared),) = makers
        output = results[maker].outputs.get(declared)
        file = next((file for file in output.files if file.path == path), None) if output else None
        return self._content(file) if file else Unreadable(f"is not among what `{maker}` made")

    def _content(self, file: OutputFile) -> bytes | Unreadable:
        """Read a file that a task made, from its place or from the cache."""
        try:
            with open(self._project.absolute(file.path), "rb") as stream:
                data = stream.read(file.size + 1)
            if digest_bytes(data) == file.xxh3:
                return data
        except OSError:
            pass
        try:
            return self._stores.blobs.read(file.sha256, _MAX_ROWS)
        except (BlobError, OSError):
            return Unreadable("was changed since it was made, and is not in the cache")


def _paths(maker: TaskName, declared: ProjectPath, results: Mapping[TaskName, Result]) -> Iterable[ProjectPath]:
    if not declared.endswith("/"):
        return (declared,)
    output = results[maker].outputs.get(declared)
    return (ProjectPath(file.path) for file in output.files) if output else ()


def steady_results(graph: Graph, verdicts: Mapping[TaskName, Verdict]) -> dict[TaskName, Result]:
    """Return the results of tasks that nothing in this build can change: all above them is up to date too."""
    steady: dict[TaskName, Result] = {}
    for name in graph.order:
        verdict = verdicts[name]
        if isinstance(verdict, UpToDate) and all(other in steady for other in graph.upstream[name]):
            steady[name] = result_of(verdict.record, graph.tasks[name].parameters)
    return steady


def untouched_facts(before: Graph, facts: Mapping[TaskName, Facts], graph: Graph) -> dict[TaskName, Facts]:
    """Return the facts of tasks that wait for no unknown family; raises `ConfigError` where one should have."""
    waiting = frozenset(before.with_downstream(name for name, task in before.tasks.items() if task.is_unknown))
    kept = {name: known for name, known in facts.items() if name not in waiting}
    for name in kept:
        if more := set(graph.upstream[name]) - set(before.upstream[name]):
            what = f"`{min(more)}` makes an input of `{name}`, which nobody could know when that began"
            hint = "let no value of an instance have a `/` where it is part of a path"
            raise ConfigError((Complaint(what=what, place=graph.tasks[name].place_of(), hint=hint),))
    return kept
