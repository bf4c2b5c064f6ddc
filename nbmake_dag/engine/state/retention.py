"""Retention in a project: the last runs, what they show, and of the other records those used last.

Everything here is called under the build lock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable

import msgspec

from nbmake_dag.core.model import Pipeline
from nbmake_dag.core.urls import COPIES, IDENTITY, identity_of
from nbmake_dag.engine.state.daily import is_look_due, note_look
from nbmake_dag.engine.state.gc_roots import forget_tables, run_folders, shown_by
from nbmake_dag.engine.state.rescued_files import read_rescued
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.remote_copies import folder_of, learned_file
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


def sweep(project: Project, pipeline: Pipeline) -> Swept:
    """Apply the limits in ``[cache]`` and ``[runs]`` of the pipeline."""
    removed = _remove_old_runs(project, pipeline.keep_runs)
    shown = shown_by(run_folders(project.runs))
    collected = collect(
        project.cache,
        now=time.time(),
        max_size=pipeline.cache.max_size,
        max_age=pipeline.cache.max_age,
        keys=shown.keys,
        blobs=shown.blobs | _rescued(project) | _of_remote_inputs(project, pipeline),
    )
    return Swept(cache=collected, removed_runs=removed)


def sweep_unused(project: Project, pipeline: Pipeline) -> Swept:
    """Keep only what the last run used or made, and the user's own bytes.

    For a task without a result in it, because the run failed or did not include it, the previous result stays.
    """
    removed = _remove_old_runs(project, pipeline.keep_runs)
    shown = shown_by(run_folders(project.runs)[:1])
    collected = keep_only(
        project.cache,
        now=time.time(),
        keys=shown.keys,
        tasks=pipeline.tasks,
        blobs=shown.blobs | _rescued(project) | _of_remote_inputs(project, pipeline),
    )
    return Swept(cache=collected, removed_runs=removed)


def after_build(project: Project, pipeline: Pipeline, used: Iterable[Key]) -> Swept | None:
    """Note which records a build used; once a day look whether too much is kept, and sweep if so."""
    LastUsed(project.cache).note(used, time.time())
    if not is_look_due(project):
        return None
    note_look(project)
    swept = sweep(project, pipeline) if _exceeds(project, pipeline) else None
    for folder in run_folders(project.runs)[1:]:
        # of a build that was killed
        with contextlib.suppress(FileNotFoundError):
            pack_trace(folder)
    return swept


def _exceeds(project: Project, pipeline: Pipeline) -> bool:
    if pipeline.cache.max_age is not None or len(run_folders(project.runs)) > pipeline.keep_runs:
        return True
    held = info(project.cache)
    return held.records_size + held.blobs_size > pipeline.cache.max_size


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


def _of_remote_inputs(project: Project, pipeline: Pipeline) -> frozenset[str]:
    """Return the content of the files elsewhere that the pipeline names, and forget what it does not name."""
    remotes = {item.remote for task in pipeline.tasks.values() for item in task.inputs if item.remote}
    named = {identity_of(remote) for remote in remotes}
    copies = os.path.join(project.root, COPIES)
    for folder in (folder_of(project), copies):
        with contextlib.suppress(FileNotFoundError):
            for entry in list(os.scandir(folder)):
                if entry.name[:IDENTITY] not in named:
                    remove(entry.path)
    learned = (learned_file(project, remote).read(lambda _: None) for remote in remotes)
    return frozenset(each.sha256 for each in learned if each is not None)
