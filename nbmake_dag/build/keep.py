"""Outputs put back from the cache, without losing bytes of the user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator

from nbmake_dag.build.outcome import Kept
from nbmake_dag.core.model import ProjectPath
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.record import Output, Record


def keep_bytes(
    project: Project, blobs: BlobStore, paths: Iterable[ProjectPath], known: Iterable[Record]
) -> tuple[Kept, ...]:
    """Make blobs of the files at output paths that no record's blobs hold; they are about to be replaced."""
    held = {
        (file.path, file.size): file.sha256
        for record in known
        if record.stored
        for output in record.outputs
        for file in output.files
        if blobs.has(file.sha256)
    }
    kept: list[Kept] = []
    for path in paths:
        for file in _files(project.absolute(path)):
            relative = os.path.relpath(file, project.root)
            stored = blobs.put_file(file)
            if held.get((relative, stored.size)) != stored.sha256:
                kept.append(Kept(path=relative, sha256=stored.sha256))
    return tuple(kept)


def restore(project: Project, blobs: BlobStore, outputs: Iterable[Output]) -> None:
    """Put outputs in place; raises `BlobError` where the cache does not have them, intact.

    A folder becomes what was recorded: files in it that are not of the record are removed.
    """
    for output in outputs:
        place = project.absolute(output.path).rstrip("/")
        if output.path.endswith("/"):
            _clear(place, keep={project.absolute(file.path) for file in output.files})
            os.makedirs(place, exist_ok=True)
        elif os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        for file in output.files:
            blobs.restore(file.sha256, project.absolute(file.path), executable=file.executable)


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names if os.path.isfile(os.path.join(folder, name)))


def _clear(folder: str, keep: set[str]) -> None:
    if os.path.islink(folder) or os.path.isfile(folder):
        os.remove(folder)
    for path in _files(folder):
        if path not in keep:
            os.remove(path)
