"""A private copy of the repository for one attempt: it has what the task may see, and nothing else.

Where there is a workspace, files come from it, and outputs are moved into it. Elsewhere they are blobs, and
outputs stay blobs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager

from msgspec.structs import replace

from nbmake_dag.execute.processes.private_folder import private_folder
from nbmake_dag.execute.protocol import AttemptResult, AttemptSpec, SeenFile
from nbmake_dag_cache.blobs import BlobStore, copy_file


@contextmanager
def private_copy(spec: AttemptSpec) -> Generator[AttemptSpec]:
    """Make the copy, and give the order as it reads in there; what the attempt wrote is moved out at the end."""
    with private_folder(spec.sandbox) as folder:
        repository = os.path.join(folder, os.path.basename(spec.repository) or "repository")
        root = os.path.normpath(os.path.join(repository, os.path.relpath(spec.root, spec.repository)))
        inside = replace(
            spec,
            root=root,
            repository=repository,
            env={
                **spec.env,
                "NBDAG_ROOT": root,
                "NBDAG_REPOSITORY": repository,
                "NBDAG_WORKSPACE": "" if spec.apart else spec.env.get("NBDAG_WORKSPACE", spec.repository),
            },
        )
        _furnish(inside, spec.root)
        yield inside
        if not spec.apart:
            for path in spec.declared_outputs:
                _move(os.path.join(root, path), os.path.join(spec.root, path))


def as_outside(result: AttemptResult, inside: AttemptSpec, spec: AttemptSpec) -> AttemptResult:
    """Rewrite a failure with the paths of the workspace."""
    if result.failure is None:
        return result

    def outside(text: str) -> str:
        return text.replace(inside.repository, spec.repository)

    failure = result.failure
    failure = replace(failure, message=outside(failure.message), traceback=outside(failure.traceback))
    return replace(result, failure=failure)


def _furnish(inside: AttemptSpec, workspace: str) -> None:
    """Put everything into the copy that a task may see, and the folders that it is promised."""
    root, blobs = inside.root, BlobStore(inside.blobs)
    # what looks for the root of a repository finds this one
    os.makedirs(os.path.join(inside.repository, ".git"))
    folders = {os.path.dirname(path.rstrip("/")) for path in inside.declared_outputs}
    for folder in {inside.workdir, *folders, *(file.path for file in inside.sees if file.path.endswith("/"))}:
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    for file in inside.sees:
        if not file.path.endswith("/"):
            target = os.path.normpath(os.path.join(root, file.path))
            _put(file, target, os.path.join(workspace, file.path), blobs)


def _put(file: SeenFile, target: str, source: str, blobs: BlobStore) -> None:
    if file.blob is not None:
        blobs.restore(file.blob, target, executable=file.executable)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        copy_file(source, target)


def _move(source: str, target: str) -> None:
    """Move an output, if there is one; a link is moved as what it leads to, for it may lead into the copy."""
    source, target = source.rstrip("/"), target.rstrip("/")
    if os.path.islink(source):
        copy = shutil.copytree if os.path.isdir(source) else shutil.copy2
        with contextlib.suppress(OSError):  # it leads nowhere, which was the attempt's failure
            copy(source, target)
    elif os.path.exists(source):
        shutil.move(source, target)
