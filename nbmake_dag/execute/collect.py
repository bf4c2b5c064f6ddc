"""Collect the outputs of an attempt: every declared output, hashed and stored as blobs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from nbmake_dag.core.text import encodable
from nbmake_dag.execute.protocol import Failure
from nbmake_dag.execute.redaction import Redactor
from nbmake_dag.observe.project import leads_to_folder
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import digest_file_twice
from nbmake_dag_cache.memo import empty_folders
from nbmake_dag_cache.record import Output, OutputFile


class _BadOutputError(Exception):
    """An output that cannot be a result; ``type`` and message as a `Failure` has them."""

    def __init__(self, failure_type: str, message: str) -> None:
        super().__init__(failure_type, message)
        self.type = failure_type
        self.message = message


def collect_outputs(root: str, declared: Sequence[str], blobs: BlobStore | None) -> tuple[Output, ...] | Failure:
    """Hash every declared output, and store its bytes if there is a store; raises `OSError` where the disk fails.

    Symlinks count as what they point to, which must lie below the root, or below the real folder of the output.
    """
    missing = [path for path in declared if not _exists(os.path.join(root, path))]
    if missing:
        names = ", ".join(missing)
        return Failure(type="MissingOutput", message=f"declared but not written: {names}")
    try:
        return tuple(_collect(root, path, blobs) for path in declared)
    except _BadOutputError as error:
        return Failure(type=error.type, message=error.message)


def holding_secrets(outputs: Iterable[Output], root: str, redactor: Redactor) -> Iterator[str]:
    """Yield a sentence for each file of outputs that holds a secret, without the secret."""
    for output in outputs if redactor else ():
        for folder in output.folders:
            if name := redactor.name_in_text(folder):
                yield f"{redactor.text(folder)} holds the value of {name}"
        for path in (file.path for file in output.files):
            if name := redactor.name_in(os.path.join(root, path), path):
                yield f"{redactor.text(path)} holds the value of {name}"


def _exists(path: str) -> bool:
    """Return whether a declared path exists as what it was declared: a directory ends with a slash."""
    return os.path.isdir(path) if path.endswith("/") else os.path.lexists(path) and not os.path.isdir(path)


def _collect(root: str, path: str, blobs: BlobStore | None) -> Output:
    absolute = os.path.join(root, path).rstrip("/")
    allowed = (root, os.path.dirname(absolute))
    if not path.endswith("/"):
        file = _store(absolute, path, allowed, blobs)
        return Output.of(path, (file,))
    _check_target(absolute, path, allowed)
    files = tuple(
        _store(os.path.join(absolute, name), path + name, allowed, blobs)
        for name in sorted(_walk(absolute, path, allowed, ()))
    )
    return Output.of(path, files, tuple(f"{path}{folder}/" for folder in empty_folders(absolute)))


def _walk(folder: str, shown: str, allowed: tuple[str, str], above: tuple[str, ...]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in above:
        raise _BadOutputError("BadOutput", f"{shown.rstrip('/')} is a symlink to a folder that holds it")
    with os.scandir(folder) as entries:
        for entry in entries:
            if encodable(entry.name) != entry.name:
                raise _BadOutputError("BadOutput", f"{encodable(shown + entry.name)} has a name that is not UTF-8")
            if leads_to_folder(entry):
                _check_target(entry.path, shown + entry.name, allowed)
                below = _walk(entry.path, f"{shown}{entry.name}/", allowed, (*above, real))
                yield from (f"{entry.name}/{name}" for name in below)
            else:
                yield entry.name


def _store(absolute: str, shown: str, allowed: tuple[str, str], blobs: BlobStore | None) -> OutputFile:
    _check_target(absolute, shown, allowed)
    found = os.stat(absolute)
    if not stat.S_ISREG(found.st_mode):
        raise _BadOutputError("BadOutput", f"{shown} is not a regular file")
    if blobs is None:
        xxh3, sha256, size = digest_file_twice(absolute)
    else:
        stored = blobs.put_file(absolute)
        xxh3, sha256, size = stored.xxh3, stored.sha256, stored.size
    return OutputFile(
        path=shown, xxh3=xxh3, sha256=sha256, size=size, executable=bool(found.st_mode & stat.S_IXUSR)
    )


def _check_target(absolute: str, shown: str, allowed: tuple[str, str]) -> None:
    """Refuse a symlink to nothing, and one that leads out of the folders that may be read."""
    if not os.path.islink(absolute):
        return
    target = os.path.realpath(absolute)
    if not os.path.exists(target):
        raise _BadOutputError("BadOutput", f"{shown} is a symlink to {target}, which does not exist")
    if not any(target == folder or target.startswith(f"{folder}/") for folder in map(os.path.realpath, allowed)):
        raise _BadOutputError("BadOutput", f"{shown} is a symlink to {target}, outside the project")
