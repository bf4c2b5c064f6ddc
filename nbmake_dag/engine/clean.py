"""`nbdag clean`: remove outputs and the cache, but rescue the user's own files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection

import msgspec

from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import ProjectPath, Task, TaskName
from nbmake_dag.core.targets import is_instance, matched, select
from nbmake_dag.engine.prepare import load
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.rescued_files import note_rescued, read_rescued, rescue_files
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.secrets import declared_secrets
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag_cache.layout import CacheLayout, files_below


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs that were removed, and the files among them that nbdag had not made."""

    removed: tuple[ProjectPath, ...]
    rescued: tuple[RescuedFile, ...]


def clean_outputs(project: Project, targets: Collection[str]) -> Cleaned:
    """Remove the outputs of targets, all if none is given, under the build lock.

    Files that neither a task last left here nor a record holds become blobs first. Raises `SecretFileError` for
    one that must not become a blob; nothing is then removed.
    """
    stores = Stores.open(project)
    try:
        pipeline, _, _ = load(project, Request(), stores, by_last=True)
        graph = build_graph(pipeline)
        redactor = Redactor(declared_secrets(pipeline, os.environ))
        chosen = select(graph, targets)
        tasks = [graph.tasks[name] for name in graph.order if name in chosen]
        outputs = {task.name: {output.path for output in task.outputs} for task in tasks if not task.is_unknown}
        outputs |= _made_by_unknown([task for task in tasks if task.is_unknown], graph, stores, targets)
        present = {
            name: [path for path in sorted(paths) if os.path.lexists(project.absolute(path))]
            for name, paths in outputs.items()
        }
        wanted = {path for paths in present.values() for path in paths}
        known = [record for record in stores.records if any(output.path in wanted for output in record.outputs)]
        rescued = tuple(
            item
            for name, paths in present.items()
            for item in rescue_files(project, stores.blobs, paths, known, stores.previous.files(name), redactor)
        )
        for name in outputs:
            stores.previous.forget_restored(name)
    finally:
        stores.close()
    note_rescued(project, rescued)
    for path in wanted:
        _remove(project.absolute(path).rstrip("/"))
    return Cleaned(removed=tuple(sorted(wanted)), rescued=rescued)


def _made_by_unknown(
    families: Collection[Task], graph: Graph, stores: Stores, targets: Collection[str]
) -> dict[TaskName, set[ProjectPath]]:
    """Return what instances of families made whose makers have no result: records have it, and nothing else."""
    made: dict[TaskName, set[ProjectPath]] = {}
    whole = matched(graph, targets or graph.order) if families else ()
    for record in stores.records if families else ():
        for family in families:
            is_meant = family.name in whole or any(is_instance(record.task, target) for target in targets)
            if is_meant and record.task.partition("[")[0] == family.family:
                paths = {ProjectPath(output.path) for output in record.outputs}
                paths = {path for path in paths if any(matches(item.path, path) for item in family.outputs)}
                made.setdefault(TaskName(record.task), set()).update(paths)
    return made


def clean_cache(project: Project) -> None:
    """Remove all that was learned and stored, except the user's bytes and the lock; under the build lock."""
    layout = CacheLayout(project.cache)
    users = {layout.blob(rescued.sha256) for rescued in read_rescued(project)}
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
