"""Execute a task a second time, in a copy of the repository with only the files that git or the pipeline names.

A task that writes other bytes there depends on something that is not in its key: chance, time, the folder
that it runs in. A task that fails needs an undeclared file.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Command, Input, Notebook, Task, TaskName
from nbmake_dag.core.reasons import changes, describe
from nbmake_dag.doctor.chance import Suspect, suspects
from nbmake_dag.engine.build import build
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.ends import what_failed
from nbmake_dag.engine.results.undeclared import undeclared
from nbmake_dag.engine.state.previous_results import LastFailure
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import Complaint, NbdagError
from nbmake_dag.execute.executors import ONE_AT_A_TIME
from nbmake_dag.observe.git import listed_files
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.run_events import RunEvent, TaskEnded
from nbmake_dag.referee.copies import copy_over, walk
from nbmake_dag.referee.judgement import Rules, judged
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.notebook import read_notebook
from nbmake_dag_cache.record import Output, Record, blobs_of

_LARGEST = 1 << 30
"""Bytes of a file that is compared by its values."""


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
    place = task.place_of()
    with tempfile.TemporaryDirectory(prefix="nbdag-doctor-") as folder:
        again = _Again(_copy(project, graph, records, name, folder), task)
        outcome = again.execute()
        if outcome is None or outcome.record is None:
            return [_failure(task, outcome, place, stores.previous.failure(name))]
        if known and (changed := changes(_without_folders(known), _without_folders(outcome.record))):
            what = f"task `{task.name}` changed since its last result: {describe(changed[0], task, ())}"
            return [
                Complaint(
                    code="changed_since", what=what, place=place, hint="build it, then run `nbdag doctor` again"
                )
            ]
        if known and (
            differ := _differing(task, known, outcome.record, (stores.blobs, BlobStore(again.project.cache)))
        ):
            hint = _why_it_differs(project, task, known, outcome.record, again, uncovered)
            place = task.place_of("outputs")
            return [
                Complaint(
                    code="differs_each_time",
                    what=f"`{path}` of task `{task.name}` differs each time",
                    place=place,
                    hint=hint,
                )
                for path in differ
            ]
        return list(_needless(task, outcome, again, task.place_of("inputs")))


class _Again(msgspec.Struct, frozen=True):
    """A task in a copy of the repository."""

    project: Project
    task: Task

    def execute(self, *, only: bool = False) -> TaskOutcome | None:
        """Execute it; with ``only``, on what is on disk in the copy."""
        end = _End(self.task.name)
        request = Request(targets=(self.task.name,), force=True, only=only, executor=ONE_AT_A_TIME, cache="read")
        build(self.project, request, (end,), waiting=_ignore)
        return end.outcome

    def empty(self, item: Input) -> bool:
        """Empty the file of an input, or remove those of a glob or a folder; return whether there were any."""
        if not (item.is_glob or item.path.endswith("/")):
            place = self.project.absolute(item.path)
            is_there = not item.path.startswith("../") and os.path.isfile(place)
            if is_there:
                os.truncate(place, 0)
            return is_there
        paths = [path for path in walk(self.project.root) if _is_of(path, item)]
        for path in paths:
            os.unlink(self.project.absolute(path))
        return bool(paths)


class _End(msgspec.Struct):
    """A listener that waits for the end of one task."""

    task: TaskName
    outcome: TaskOutcome | None = None

    def notify(self, event: RunEvent) -> None:
        if isinstance(event, TaskEnded) and event.outcome.task == self.task:
            self.outcome = event.outcome


def _ignore(_message: str) -> None:
    """No other process uses the copy's lock."""


def _failure(task: Task, outcome: TaskOutcome | None, place: str, last: LastFailure | None) -> Complaint:
    attempt = outcome.attempts[-1] if outcome and outcome.attempts else None
    where, why = "in a copy of the repository", f": {what_failed(attempt)}" if attempt else ""
    hint = "declare every file that it reads in `inputs`; the copy has what git does not ignore, and inputs"
    if last and attempt and last.what == what_failed(attempt):
        where = f"as it did in run {last.run_id}"
        hint = f"`nbdag show {last.run_id} {shlex.quote(task.name)}` shows where"
    if unset := [name for name in task.secrets if not os.environ.get(name)]:
        hint = f"set {', '.join(unset)}, which it declares in `secrets`"
    return Complaint(code="fails_apart", what=f"task `{task.name}` fails {where}{why}", place=place, hint=hint)


def _differing(task: Task, before: Record, after: Record, stores: Iterable[BlobStore]) -> list[str]:
    """Return the outputs that differ by more than their declared tolerance."""

    def read(sha256: str) -> bytes | None:
        for blobs in stores:
            with suppress(BlobError):
                return blobs.read(sha256, _LARGEST)
        return None

    rules = Rules(outputs={output.path: output.rule for output in task.outputs})
    differ = {found.name for found in judged(before, after, rules, read).differences if found.kind == "output"}
    return [output.path for output in before.outputs if any(_is_made_by(output, path) for path in differ)]


def _is_made_by(output: Output, path: str) -> bool:
    return path.startswith(output.path) if output.path.endswith("/") else path == output.path


def _digests(record: Record) -> dict[str, str]:
    return {output.path: output.digest for output in record.outputs}


def _why_it_differs(
    project: Project, task: Task, before: Record, after: Record, again: _Again, uncovered: tuple[str, ...]
) -> str:
    """Return what to do about outputs that differ: causes that can be seen come before chance."""
    if uncovered:
        return f"it starts `{uncovered[0]}`, whose script may have changed: add it to `inputs`"
    if read := [access.path for access in undeclared(task, before.undeclared) if access.mode == "read"]:
        return f"it reads `{read[0]}`, which may have changed, and does not declare it: add it to `inputs`"
    with _environment(PYTHONHASHSEED="0"):
        ends = [again.execute(), again.execute()]
    first, second = (_digests(end.record) if end and end.record else {} for end in ends)
    if first == second == _digests(after):
        return "in one place it is the same each time: leave out folders, dates, and what the machine is called"
    if first == second:
        return "with PYTHONHASHSEED=0 it is the same each time: sort what comes from a set"
    found: list[Suspect] = []
    if isinstance(task.work, Notebook):
        with open(project.absolute(task.work.path), "rb") as file:
            found = suspects(read_notebook(file.read(), task.work.path, task.work.form))
    return "; ".join(map(str, found)) or (
        "neither the folder nor the order of a set is the cause: fix the seeds, sort what is listed, leave out"
        " times; else what depends on it runs again whenever it does"
    )


@contextmanager
def _environment(**variables: str) -> Generator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _without_folders(record: Record) -> Iterator[Ingredient]:
    """Leave out the folders whose modules counted: a copy has only some of them."""
    return (item for item in record.ingredients if not (item.stage == "trace" and item.name.endswith("/")))


def _needless(task: Task, outcome: TaskOutcome, again: _Again, place: str) -> Iterator[Complaint]:
    """Yield inputs that Python code did not open, and without which a task writes the same.

    What other programs and libraries read by themselves is not seen, so the second is tried as well.
    """
    reads = {access.path for access in outcome.attempts[-1].accesses if access.mode == "read"}
    if not reads or not task.outputs or isinstance(task.work, Command) or outcome.record is None:
        return
    certain = (item for item in task.inputs if not item.optional)
    unread = [item for item in certain if not any(_is_of(path, item) for path in reads) and again.empty(item)]
    try:
        end = again.execute(only=True) if unread else None
    except NbdagError:  # the task itself comes from one of them
        return
    without = end.record if end else None
    if without is None or (_digests(without), without.logged) != (_digests(outcome.record), outcome.record.logged):
        return
    for item in unread:
        what = f"task `{task.name}` does not read its input `{item.path}`, and writes the same without it"
        yield Complaint(code="input_not_read", what=what, place=place, hint="leave it out")


def _is_of(path: str, item: Input) -> bool:
    if item.is_glob:
        return matches(item.path, path)
    return path == item.path or (item.path.endswith("/") and path.startswith(item.path))


def _copy(project: Project, graph: Graph, records: list[Record], name: TaskName, folder: str) -> Project:
    """Copy what a task and those above it need, and the records that spare running these."""
    tasks = [graph.tasks[other] for other in graph.with_upstream([name])]
    inputs = [path for task in tasks for path in _input_files(project, graph, task)]
    above = max(
        (os.path.relpath(project.absolute(path), project.repository).count("../") for path in inputs), default=0
    )
    # what lies beside the repository lies beside its copy, and still in the folder
    repository = os.path.join(folder, *["above"] * above, "repository")
    root = os.path.normpath(os.path.join(repository, os.path.relpath(project.root, project.repository)))
    os.makedirs(os.path.join(repository, ".git"))
    config = os.path.join(root, os.path.basename(project.config))
    copy = replace(project, config=config, root=root, repository=repository, workspace=project.repository)
    listed = listed_files(project.repository)
    for path in walk(project.repository) if listed is None else listed:
        copy_over(os.path.join(project.repository, path), os.path.join(repository, path))
    for path in inputs:
        copy_over(project.absolute(path), copy.absolute(path))
    here, there = CacheLayout(project.cache), CacheLayout(copy.cache)
    for record in records:
        copy_over(here.record(record.own_key, record.key), there.record(record.own_key, record.key))
        for blob in blobs_of(record):
            copy_over(here.blob(blob), there.blob(blob))
    return copy


def _input_files(project: Project, graph: Graph, task: Task) -> Iterator[str]:
    for item in graph.external[task.name]:
        for path in walk(project.root) if item.is_glob or item.path.endswith("/") else (item.path,):
            if _is_of(path, item):
                yield path
