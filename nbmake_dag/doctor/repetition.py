"""Execute a task a second time, in a copy of the repository with only the files that git or the pipeline names.

A task that writes other bytes there depends on something that is not in its key: chance, time, the folder
that it runs in. A task that fails needs an undeclared file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Command, Input, Task, TaskName
from nbmake_dag.core.reasons import changes, describe
from nbmake_dag.doctor.git import files_of
from nbmake_dag.engine.build import build
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import Complaint
from nbmake_dag.execute.executors import ONE_AT_A_TIME
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.run_events import RunEvent, TaskEnded
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.record import Access, Record
from nbmake_dag_cache.retention import blobs_of


def quickest(graph: Graph, stores: Stores) -> TaskName | None:
    """Choose the task that took the least time, of those from which the same result can be expected twice."""
    durations = stores.previous.durations()
    expected = [
        name
        for name, task in graph.tasks.items()
        if task.policy.cache and task.policy.max_age is None and stores.previous.record(name, stores.records)
    ]
    return min(expected, key=lambda name: durations[name], default=None)


def repeat(
    project: Project, graph: Graph, stores: Stores, name: TaskName, uncovered: tuple[str, ...]
) -> list[Complaint]:
    """Execute a task again, and complain about what differs from its last result.

    ``uncovered`` are commands of the task that start scripts by computed names.
    """
    task, known = graph.tasks[name], stores.previous.record(name, stores.records)
    records = [
        found for other in graph.with_upstream([name]) if (found := stores.previous.record(other, stores.records))
    ]
    place = f"{os.path.basename(project.config)}:{task.line}"
    with tempfile.TemporaryDirectory(prefix="nbdag-doctor-") as folder:
        copy = _copy(project, graph, records, name, folder)
        end = _End(name)
        request = Request(targets=(name,), force=True, executor=ONE_AT_A_TIME, cache="read")
        build(copy, request, (end,), waiting=_ignore)
    outcome = end.outcome
    if outcome is None or outcome.record is None:
        return [_failure(task, outcome, place)]
    differences = _differences(task, known, outcome.record, place, uncovered) if known else ()
    return [*differences, *_unread(task, outcome.attempts[-1].accesses, place)]


@dataclass(slots=True)
class _End:
    """A listener that waits for the end of one task."""

    task: TaskName
    outcome: TaskOutcome | None = field(default=None)

    def notify(self, event: RunEvent) -> None:
        if isinstance(event, TaskEnded) and event.outcome.task == self.task:
            self.outcome = event.outcome


def _ignore(_message: str) -> None:
    """No other process uses the copy's lock."""


def _failure(task: Task, outcome: TaskOutcome | None, place: str) -> Complaint:
    failure = outcome.attempts[-1].failure if outcome and outcome.attempts else None
    why = f": {failure.type}: {failure.message}" if failure else ""
    return Complaint(
        code="fails_apart",
        what=f"task `{task.name}` fails in a copy of the repository{why}",
        place=place,
        hint="declare every file that it reads in `inputs`; the copy has what git does not ignore, and inputs",
    )


def _differences(
    task: Task, before: Record, after: Record, place: str, uncovered: tuple[str, ...]
) -> Iterator[Complaint]:
    if changed := changes(_without_folders(before), _without_folders(after)):
        yield Complaint(
            code="changed_since",
            what=f"task `{task.name}` changed since its last result: {describe(changed[0], task, ())}",
            place=place,
            hint="build it, then run `nbdag doctor` again",
        )
        return
    digests = {output.path: output.digest for output in after.outputs}
    for output in before.outputs:
        if digests.get(output.path) != output.digest:
            yield Complaint(
                code="differs_each_time",
                what=f"`{output.path}` of task `{task.name}` differs each time",
                place=place,
                hint=f"it starts `{uncovered[0]}`, whose script may have changed: add it to `inputs`"
                if uncovered
                else "fix the seeds, sort what is listed, leave out times and folders; else what depends on it"
                " runs again whenever it does",
            )


def _without_folders(record: Record) -> Iterator[Ingredient]:
    """Leave out the folders whose modules counted: a copy has only some of them."""
    return (item for item in record.ingredients if not (item.stage == "trace" and item.name.endswith("/")))


def _unread(task: Task, accesses: tuple[Access, ...], place: str) -> Iterator[Complaint]:
    """Yield inputs that Python code did not open; other programs are not watched."""
    reads = {access.path for access in accesses if access.mode == "read"}
    for item in task.inputs if reads and not isinstance(task.work, Command) else ():
        if not any(_is_of(path, item) for path in reads):
            yield Complaint(
                code="input_not_read",
                what=f"task `{task.name}` did not read its input `{item.path}`, as far as nbdag could see",
                place=place,
                hint="leave it out, unless a library reads it without Python's `open`",
            )


def _is_of(path: str, item: Input) -> bool:
    if item.is_glob:
        return matches(item.path, path)
    return path == item.path or (item.path.endswith("/") and path.startswith(item.path))


def _copy(project: Project, graph: Graph, records: list[Record], name: TaskName, folder: str) -> Project:
    """Copy what a task and those above it need, and the records that spare running these."""
    repository = os.path.join(folder, "repository")
    root = os.path.normpath(os.path.join(repository, os.path.relpath(project.root, project.repository)))
    os.makedirs(os.path.join(repository, ".git"))
    copy = Project(config=os.path.join(root, os.path.basename(project.config)), root=root, repository=repository)
    listed = files_of(project.repository)
    for path in _walk(project.repository) if listed is None else listed:
        _copy_file(os.path.join(project.repository, path), os.path.join(repository, path))
    for task in (graph.tasks[other] for other in graph.with_upstream([name])):
        for path in _input_files(project, graph, task):
            _copy_file(project.absolute(path), copy.absolute(path))
    here, there = CacheLayout(project.cache), CacheLayout(copy.cache)
    for record in records:
        _copy_file(here.record(record.own_key, record.key), there.record(record.own_key, record.key))
        for blob in blobs_of(record):
            _copy_file(here.blob(blob), there.blob(blob))
    return copy


def _input_files(project: Project, graph: Graph, task: Task) -> Iterator[str]:
    for item in graph.external[task.name]:
        for path in _walk(project.root) if item.is_glob or item.path.endswith("/") else (item.path,):
            if _is_of(path, item):
                yield path


def _walk(root: str) -> Iterator[str]:
    """Yield the files below a folder, relative to it, without hidden folders and virtual environments."""
    for folder, folders, names in os.walk(root):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.relpath(os.path.join(folder, name), root) for name in names)


def _copy_file(source: str, target: str) -> None:
    if os.path.isfile(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target)
