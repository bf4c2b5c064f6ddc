"""`nbdag clean`: outputs are removed, and so is what the cache knows, but nothing that is the user's alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from nbmake_dag.build.keep import keep_bytes
from nbmake_dag.build.kept import remember_kept, remembered
from nbmake_dag.build.outcome import Kept
from nbmake_dag.build.prepare import Stores, load
from nbmake_dag.build.request import Request
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.model import ProjectPath
from nbmake_dag.core.targets import select
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.place import Place, files_below


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The outputs that were removed, and those bytes among them that nbdag had not made."""

    removed: tuple[ProjectPath, ...]
    kept: tuple[Kept, ...]


def clean_outputs(project: Project, targets: Iterable[str]) -> Cleaned:
    """Remove the outputs of targets, all if none is given, under the build lock.

    Files that neither a task last left here nor a record holds become blobs first.
    """
    stores = Stores.open(project)
    try:
        pipeline, _, _ = load(project, Request(), stores)
        graph = build_graph(pipeline, file=os.path.basename(project.config))
        chosen = select(graph, targets)
        tasks = [graph.tasks[name] for name in graph.order if name in chosen]
        present = {
            task.name: [path for output in task.outputs if os.path.lexists(project.absolute(path := output.path))]
            for task in tasks
        }
        wanted = {path for paths in present.values() for path in paths}
        known = [record for record in stores.records if any(output.path in wanted for output in record.outputs)]
        kept = tuple(
            item
            for name, paths in present.items()
            for item in keep_bytes(project, stores.blobs, paths, known, stores.last.files(name))
        )
    finally:
        stores.close()
    remember_kept(project, kept)
    for path in wanted:
        _remove(project.absolute(path).rstrip("/"))
    return Cleaned(removed=tuple(sorted(wanted)), kept=kept)


def clean_cache(project: Project) -> None:
    """Remove all that was learned and stored, except the user's bytes and the lock; under the build lock."""
    place = Place(project.cache)
    users = {place.blob(kept.sha256) for kept in remembered(project)}
    for entry in files_below(project.cache):
        if entry.path not in users:
            os.remove(entry.path)
    for entry in files_below(project.state):
        if entry.name != "lock":
            os.remove(entry.path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)
