"""Outputs put back from the cache, without losing bytes of the user."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping

from nbmake_dag.build.outcome import Kept
from nbmake_dag.core.model import ProjectPath
from nbmake_dag.execute.encodable import encodable
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import Digest, digest_file
from nbmake_dag_cache.record import Output, Record


def keep_bytes(
    project: Project,
    blobs: BlobStore,
    paths: Iterable[ProjectPath],
    known: Iterable[Record],
    ours: Mapping[str, Digest],
) -> tuple[Kept, ...]:
    """Make blobs of files at output paths that are about to be replaced, and came from nobody but the user.

    ``known`` are records whose blobs hold what a file may be, ``ours`` the digests of what was last put there.
    """
    held = {
        (file.path, file.xxh3)
        for record in known
        if record.stored
        for output in record.outputs
        for file in output.files
        if blobs.has(file.sha256)
    }
    kept: list[Kept] = []
    for path in paths:
        for file in _files(project.absolute(path)):
            relative = project.relative(file)
            digest = digest_file(file)
            if ours.get(relative) != digest and (relative, digest) not in held:
                kept.append(Kept(path=encodable(relative), sha256=blobs.put_file(file).sha256))
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
    for inside, folders, _ in os.walk(folder):
        # what a link leads to is the user's
        for link in filter(os.path.islink, (os.path.join(inside, name) for name in folders)):
            os.remove(link)
    for path in _files(folder):
        if path not in keep:
            os.remove(path)
