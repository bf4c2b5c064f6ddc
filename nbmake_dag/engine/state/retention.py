"""Retention in a project: the last runs, what they show, and of the other records those used last.

Everything here is called under the build lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from nbmake_dag.core.model import Pipeline, RemoteFile, Settings
from nbmake_dag.core.urls import COPIES, IDENTITY, identity_of
from nbmake_dag.engine.state.daily import is_look_due, note_look
from nbmake_dag.engine.state.gc_roots import forget_tables, run_folders, shown_by
from nbmake_dag.engine.state.pipeline_files import pipeline_files
from nbmake_dag.engine.state.rescued_files import read_rescued
from nbmake_dag.errors import ConfigError
from nbmake_dag.observe.instance_data import pipeline_on_disk
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.remote_copies import folder_of, learned_at
from nbmake_dag.record.run_files import pack_trace
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.last_used import LastUsed
from nbmake_dag_cache.layout import remove
from nbmake_dag_cache.retention import Collected, collect, keep_only
from nbmake_dag_cache.verify import info


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed and left."""

    cache: Collected
    removed_runs: int
    unread: str
    """Which pipeline file cannot be read, for which more stays; empty if all can."""


def sweep(project: Project, settings: Settings) -> Swept:
    """Apply the limits in ``[cache]`` and ``[runs]``."""
    removed = _remove_old_runs(project, settings.keep_runs)
    named = _Named(project)
    shown = shown_by(run_folders(project.runs))
    collected = collect(
        project.cache,
        now=time.time(),
        max_size=settings.cache.max_size,
        max_age=settings.cache.max_age,
        keys=shown.keys,
        blobs=shown.blobs | _rescued(project) | _of_remote_inputs(project, named),
    )
    return Swept(cache=collected, removed_runs=removed, unread=named.unread)


def sweep_unused(project: Project, settings: Settings) -> Swept:
    """Keep only what the last run used or made, and the user's own bytes.

    For a task without a result in it, because the run failed or did not include it, the previous result stays.
    """
    removed = _remove_old_runs(project, settings.keep_runs)
    named = _Named(project)
    shown = shown_by(run_folders(project.runs)[:1])
    collected = keep_only(
        project.cache,
        now=time.time(),
        keys=shown.keys,
        tasks=named,
        blobs=shown.blobs | _rescued(project) | _of_remote_inputs(project, named),
    )
    return Swept(cache=collected, removed_runs=removed, unread=named.unread)


def after_build(project: Project, settings: Settings, used: Iterable[Key]) -> Swept | None:
    """Note which records a build used; once a day look whether too much is kept, and sweep if so."""
    LastUsed(project.cache).note(used, time.time())
    if not is_look_due(project):
        return None
    note_look(project)
    swept = sweep(project, settings) if _exceeds(project, settings) else None
    for folder in run_folders(project.runs)[1:]:
        # of a build that was killed
        with contextlib.suppress(FileNotFoundError):
            pack_trace(folder)
    return swept


def _exceeds(project: Project, settings: Settings) -> bool:
    if settings.cache.max_age is not None or len(run_folders(project.runs)) > settings.keep_runs:
        return True
    held = info(project.cache)
    return held.records_size + held.blobs_size > settings.cache.max_size


def _remove_old_runs(project: Project, keep: int) -> int:
    """Remove runs, and what their failed tasks left."""
    old = run_folders(project.runs)[keep:]
    for folder in old:
        shutil.rmtree(os.path.join(project.failed, os.path.basename(folder)), ignore_errors=True)
        shutil.rmtree(folder)
    forget_tables(project.runs)
    return len(old)


def _rescued(project: Project) -> frozenset[str]:
    return frozenset(file.sha256 for file in read_rescued(project))


class _Named:
    """What the pipeline files of a folder name, with any profile: remote inputs, and tasks, which ``in`` tells.

    Where one cannot be read, it may name anything.
    """

    def __init__(self, project: Project) -> None:
        self.remotes: set[RemoteFile] = set()
        self.unread = ""
        self._tasks: set[str] = set()
        self._unknown: set[str] = set()
        for file in pipeline_files(project):
            chosen: set[tuple[str, ...]] = {(), *((name,) for name in file.profiles)}
            if set(project.profiles).issubset(file.profiles):
                chosen.add(project.profiles)
            for profiles in sorted(chosen):
                place = replace(project, config=project.absolute(file.name), profiles=profiles)
                try:
                    self._add(pipeline_on_disk(place, file.data))
                except ConfigError as error:
                    why = str(error.complaints[0]).partition("\n")[0]
                    self.unread = f"{file.name} cannot be read ({why})"

    def __contains__(self, task: object) -> bool:
        return bool(self.unread) or task in self._tasks or str(task).partition("[")[0] in self._unknown

    def _add(self, pipeline: Pipeline) -> None:
        self._tasks.update(pipeline.tasks)
        self._unknown.update(task.family for task in pipeline.tasks.values() if task.is_unknown)
        self.remotes.update(
            item.remote for task in pipeline.tasks.values() for item in task.inputs if item.remote is not None
        )


def _of_remote_inputs(project: Project, named: _Named) -> frozenset[str]:
    """Return the content of the files elsewhere that are named, and forget what is not."""
    kept = {identity_of(remote) for remote in named.remotes}
    copies = os.path.join(project.root, COPIES)
    for folder in (folder_of(project), copies) if not named.unread else ():
        with contextlib.suppress(FileNotFoundError):
            for entry in list(os.scandir(folder)):
                if entry.name[:IDENTITY] not in kept:
                    remove(entry.path)
    return frozenset(_learned(project))


def _learned(project: Project) -> Iterator[str]:
    """Yield the content of files elsewhere that is still known."""
    with contextlib.suppress(FileNotFoundError):
        for entry in list(os.scandir(folder_of(project))):
            if entry.name.endswith(".json") and (learned := learned_at(entry.path).read(lambda _: None)):
                yield learned.sha256
