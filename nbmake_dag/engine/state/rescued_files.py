"""Files of the user, saved to the blob store before nbdag replaced or removed them, and the list of them.

One JSON object with its checksum in a line, beside the runs. What it names is never collected, because no other
copy may exist.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from nbmake_dag.core.model import ProjectPath
from nbmake_dag.core.text import encodable
from nbmake_dag.errors import UsageError, naming
from nbmake_dag.execute.redaction import NO_SECRETS, Redactor
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import is_no_file, name_aside, put_aside, read_regular, replace_file
from nbmake_dag.record.outcome import RescuedFile
from nbmake_dag_cache.blobs import BlobStore
from nbmake_dag_cache.digest import Digest, digest_bytes, digest_file
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.record import Record


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rescued: RescuedFile
    xxh3: Digest
    """Of the JSON of ``rescued``."""


_decode = msgspec.json.Decoder(_Line).decode


class SecretFileError(UsageError):
    """A file of the user is in the way of an output, and cannot be saved, because it holds a secret."""


def rescue_files(
    project: Project,
    blobs: BlobStore,
    paths: Iterable[ProjectPath],
    known: Iterable[Record],
    ours: Mapping[str, Digest],
    redactor: Redactor = NO_SECRETS,
) -> tuple[RescuedFile, ...]:
    """Save files at output paths that are about to be replaced and are the user's as blobs.

    ``known`` are records whose blobs hold what a file may be, ``ours`` the digests of what was last put there. A
    blob counts only if it is sound: it may be all that is left of the file.
    Raises `SecretFileError` for one that holds a secret: no blob may, and nothing of the user's is lost.
    """
    held = {
        (file.path, file.xxh3): file.sha256
        for record in known
        if record.stored
        for output in record.outputs
        for file in output.files
    }
    rescued: list[RescuedFile] = []
    for path in paths:
        for file in files_at(project.absolute(path)):
            relative = project.relative(file)
            digest = digest_file(file)
            is_ours = ours.get(redactor.text(relative)) == digest
            if not is_ours and not blobs.is_sound(held.get((relative, digest), "")):
                if name := redactor.name_in(file, relative):
                    what = f"{redactor.text(relative)} holds the value of {name}, and is not as nbdag left it"
                    raise SecretFileError(what, (), "move it away, or remove it")
                rescued.append(RescuedFile(path=encodable(relative), sha256=blobs.put_file(file).sha256))
    return tuple(rescued)


def files_at(path: str) -> Iterator[str]:
    """Yield the files at the path of an output, also one that stands where a folder belongs."""
    path = path.rstrip("/")
    if os.path.isfile(path):
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (os.path.join(folder, name) for name in names if os.path.isfile(os.path.join(folder, name)))


def note_rescued(project: Project, rescued: Iterable[RescuedFile]) -> None:
    """Add to the end of the list, which is not read: what it has twice, the next build leaves out."""
    new = set(rescued)
    if not new:
        return
    os.makedirs(project.runs, exist_ok=True)
    if _is_in_the_way(_path(project)):  # since it was put aside with a warning
        put_aside(_path(project))
    lines = _encode(sorted(new, key=lambda item: item.path))
    with naming(_path(project)), open(_path(project), "ab+") as file:
        # after a line that was cut off, ours begins on a line of its own
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        file.write(lines if file.read(1) in {b"", b"\n"} else b"\n" + lines)


def how_to_recover(project: Project, rescued: RescuedFile) -> str:
    """Return the command that gets a file of the user back, its paths relative to the current directory."""
    paths = (CacheLayout(project.cache).blob(rescued.sha256), project.absolute(rescued.path))
    blob, file = (shlex.quote(os.path.relpath(path)) for path in paths)
    return f"{rescued.path} was not made by nbdag; to get it back: cp {blob} {file}"


def read_rescued(project: Project) -> tuple[RescuedFile, ...]:
    """Return the whole list, without damaged lines; empty if something other than a file is there.

    Raises `OSError` for a list that cannot be read: what must be kept is then unknown.
    """
    return _each_once(_read(project))


def put_damage_aside(project: Project, warn: Callable[[str], None]) -> None:
    """Copy a list with damaged lines aside, keep its other lines, and warn once; under the build lock.

    The sound lines are in the list in any case, each once. Something other than a file is put aside as it is.
    """
    if _is_in_the_way(_path(project)):
        put_aside(_path(project))
        warn(f"{_path(project)} is not a file: it is put aside, and files of yours may be removed from the cache")
    found = _read(project)
    if None in found:
        shutil.copyfile(_path(project), name_aside(_path(project)))
        replace_file(_path(project), _encode(_each_once(found)))
        warn(
            f"{_path(project)}:{found.index(None) + 1} is damaged: the list is put aside, and a file of yours"
            " that only this line named may be removed from the cache"
        )
    elif len(once := _each_once(found)) < len(found):
        replace_file(_path(project), _encode(once))


def _read(project: Project) -> list[RescuedFile | None]:
    """Return what each line names, ``None`` for one that is damaged."""
    try:
        return [_checked(line) for line in read_regular(_path(project)).splitlines()]
    except FileNotFoundError:
        return []
    except OSError:
        if not is_no_file(_path(project)):
            raise
        return []


def _each_once(found: Iterable[RescuedFile | None]) -> tuple[RescuedFile, ...]:
    return tuple(dict.fromkeys(item for item in found if item is not None))


def _is_in_the_way(path: str) -> bool:
    return os.path.lexists(path) and is_no_file(path)


def _checked(line: bytes) -> RescuedFile | None:
    try:
        found = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found.rescued if found.xxh3 == digest_bytes(msgspec.json.encode(found.rescued)) else None


def _encode(rescued: Iterable[RescuedFile]) -> bytes:
    lines = (_Line(item, digest_bytes(msgspec.json.encode(item))) for item in rescued)
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _path(project: Project) -> str:
    return os.path.join(project.runs, "rescued.jsonl")
