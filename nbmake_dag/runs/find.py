"""Find a recorded run by its id, a prefix of one, ``latest``, ``latest~N``, or a git ref; read what it names."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.core.targets import is_instance
from nbmake_dag.errors import UnknownRunError, UsageError
from nbmake_dag.observe.git import commit_of
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobError, BlobStore
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_reporting.assemble import Resolve
from nbmake_dag_reporting.bundle import BundleError, Recorded
from nbmake_dag_reporting.run import TaskRun, Vcs
from nbmake_dag_reporting.runs import (
    AmbiguousRunError,
    RunNotFoundError,
    find_run,
    find_run_of_branch,
    find_run_of_commit,
    has_seen,
    is_good_of,
    name_of,
    read_head,
    read_run,
    run_names,
)

_LARGEST_BLOB = 256 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")


def recorded_in(project: Project, ref: str, *, good: bool = False) -> Recorded:
    """Read a run of a project, its own or a pulled one; raises `UnknownRunError` where there is none.

    A git ref means the newest run of its commit, with ``good`` the newest that went well.
    """
    record, blob = reach(project)
    try:
        folder = find_run(project.runs, ref)
    except RunNotFoundError as error:
        # a shallow clone does not have the commits that other clones built
        revision = commit_of(project.repository, ref) or (ref if _COMMIT.fullmatch(ref) else None)
        of_commit = find_run_of_commit(project.runs, revision, good=good) if revision else None
        folder = of_commit or find_run_of_branch(project.runs, ref) or ""
        if not folder and (tried := tried_in(project, ref)) is not None:
            return tried
        if not folder:
            pulled = _pulled(project, ref, revision, good=good)
            if pulled is None:
                what = f"no {'good ' * good}run has seen commit {revision}" if revision else str(error)
                unknown = UsageError if isinstance(error, AmbiguousRunError) else UnknownRunError
                raise unknown(what, (), "`nbdag runs` lists them") from error
            return pulled
    try:
        run = read_run(folder, record)
    except RunNotFoundError as error:
        what = f"nothing of run {os.path.basename(folder)} can be read: its files are damaged"
        raise UsageError(what, (("where", folder),), "`nbdag runs` lists the others") from error
    if run.id == run_under_way(project):
        run = replace(run, result="running")
    return Recorded(run=run, blob=blob, record=record)


def vcs_of(project: Project, run_id: str) -> Vcs:
    """Return what a recorded run saw of the repository, as far as that is known here."""
    if run_id != os.path.basename(run_id):
        return Vcs()
    head = read_head(os.path.join(project.runs, run_id))
    return head.vcs if head is not None else Vcs()


def tried_in(project: Project, ref: str) -> Recorded | None:
    """Read the run of a trial by its id, or a unique prefix of it: no other name means one."""
    runs = os.path.join(project.trials, "runs")
    if ref.startswith("latest"):
        return None
    record, blob = _reach(os.path.join(project.trials, "cache"), project.cache)
    try:
        return Recorded(run=read_run(find_run(runs, ref), record), blob=blob, record=record)
    except RunNotFoundError:
        return None


def run_under_way(project: Project) -> str | None:
    """Return the name of the run that a build is writing here at this moment: the newest, if it has no end."""
    newest = next(iter(run_names(project.runs)), None)
    head = read_head(os.path.join(project.runs, newest)) if newest else None
    return head.id if head and head.ended is None and _is_locked(os.path.join(project.state, "lock")) else None


def waits_under_way(project: Project) -> dict[str, str]:
    """Return the pools that tasks of the build under way wait for, by the name of the task."""
    name = run_under_way(project)
    if name is None:
        return {}
    try:
        run = read_run(os.path.join(project.runs, name))
    except RunNotFoundError:
        return {}
    return {task.name: task.waits_for for task in run.tasks.values() if task.waits_for}


def _is_locked(path: str) -> bool:
    """Return whether a build holds the lock; to find out, it is shared for a moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # not by closing it alone: a process that another thread is starting has it too
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def reach(project: Project) -> tuple[Resolve, Callable[[str], bytes | None]]:
    """Return what reads the records and the blobs of a project's cache."""
    return _reach(project.cache)


def _reach(*caches: str) -> tuple[Resolve, Callable[[str], bytes | None]]:
    """Return what reads the records and the blobs of caches, the first that has one."""
    records, stores = [*map(RecordStore, caches)], [*map(BlobStore, caches)]

    def record(own_key: str, key: str) -> Mapping[str, Any] | None:
        found = (store.get(Key(own_key), Key(key)) for store in records)
        return next((msgspec.to_builtins(each) for each in found if each is not None), None)

    def blob(sha256: str) -> bytes | None:
        for store in stores:
            with suppress(BlobError):
                return store.read(sha256, _LARGEST_BLOB)
        return None

    return record, blob


def task_of(recorded: Recorded, name: str) -> TaskRun:
    """Return a task of a run; raises `UsageError` for a name that it does not have, or that means several."""
    tasks, found = recorded.run.tasks, _called(recorded, name)
    if len(found) > 1:
        raise UsageError(
            f"`{name}` stands for {len(found)} tasks",
            (),
            f"name one of them: {', '.join(map(shlex.quote, found[:20]))}",
        )
    if not found:
        hint = did_you_mean(name, tasks, shlex.quote) or f"it has {', '.join(list(tasks)[:20])}"
        raise UsageError(f"run {recorded.run.id} has no task `{name}`", (), hint)
    return tasks[found[0]]


def last_of(project: Project, name: str) -> Recorded:
    """Read the newest run that executed a task, of those that are recorded here; else the newest that has it."""
    newest: Recorded | None = None
    for run in run_names(project.runs):
        recorded = recorded_in(project, run)
        names = _called(recorded, name)
        if not names:
            continue
        newest = newest or recorded
        if len(names) > 1 or recorded.run.tasks[names[0]].attempts:
            return recorded
    return newest or recorded_in(project, "latest")


def _called(recorded: Recorded, name: str) -> list[str]:
    """Return the tasks of a run that a name, the name of a family, or the path of a notebook means."""
    tasks = recorded.run.tasks
    if name in tasks:
        return [name]
    return [
        other for other in tasks if is_instance(other, name) or name in {tasks[other].family, tasks[other].path}
    ]


def pulled_runs(project: Project) -> Iterator[Recorded]:
    """Read the runs that other machines pushed and this one pulled, newest first; damaged ones are left out."""
    from nbmake_dag.runs.places import found_below  # noqa: PLC0415 - only where runs of others are meant

    for found in sorted(found_below(project.pulled), key=lambda run: run.name, reverse=True):
        with suppress(BundleError):
            yield found.read()


def newest_good(project: Project) -> Recorded:
    """Read the newest run that went well, of this checkout, else of those pulled; raises `UnknownRunError`."""
    for name in run_names(project.runs):
        head = read_head(os.path.join(project.runs, name))
        if head is not None and head.result == "success":
            return recorded_in(project, name)
    for pulled in pulled_runs(project):
        if pulled.run.result == "success":
            return pulled
    what = "no run that went well is recorded"
    raise UnknownRunError(what, (), "`nbdag runs` lists all; `nbdag runs pull` gets those of other machines")


def _pulled(project: Project, ref: str, revision: str | None, *, good: bool) -> Recorded | None:
    """Read a run of another machine; one from build artefacts is found by its whole id alone."""
    from nbmake_dag.runs.places import found_below  # noqa: PLC0415 - only where runs of others are meant

    fetched = [run for run in found_below(project.history) if run.name == ref]
    runs = {run.name: run for run in fetched or found_below(project.pulled)}
    try:
        name = name_of(ref, [*run_names(project.runs), *sorted(runs, reverse=True)])
        return runs[name].read()
    except BundleError as error:
        raise UsageError(str(error)) from error
    except RunNotFoundError:
        seen = (run for run in pulled_runs(project) if revision and has_seen(run.run, revision, good=good))
        of_branch = (run for run in pulled_runs(project) if is_good_of(run.run, ref))
        return next(chain(seen, of_branch), None)
