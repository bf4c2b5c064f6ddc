"""A build with nothing to do, recognised from one file without reading the pipeline.

At the end of a build that left everything up to date, this file says which files, folders and variables that rests
on. The next build with the same request looks whether they are what they were; if so it only writes the record of
its run, whose lines are ready in the file but for ids and times.

Only what was looked at by content is believed: a file that was not at rest is hashed when it is next checked, and
a folder that was not keeps the file from being written at all. Losing or damaging the file costs time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Mapping

import msgspec
from xxhash import xxh3_128_digest

from nbmake_dag import __version__
from nbmake_dag.build.request import Request
from nbmake_dag.observe.project import Project
from nbmake_dag.record.hits import HitTemplate
from nbmake_dag_cache.digest import digest_text
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.stamps import FileClock, Stamp, folder_stamp, hash_file, is_at_rest

_CHECKSUM = 16
_KEPT = 8
"""Files kept: of the latest requests that differ."""
_MEANING = (
    "HOME",
    "JUPYTER_DATA_DIR",
    "JUPYTER_NO_CONFIG",
    "JUPYTER_PATH",
    "JUPYTER_PREFER_ENV_PATH",
    "PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)
"""Variables that decide which kernel, interpreter or module a name means."""


class Unchanged(msgspec.Struct, frozen=True, array_like=True):
    """What an up-to-date pipeline rests on. Paths are absolute; ``expires`` in nanoseconds since the epoch."""

    paths: list[str]
    stamps: list[Stamp | None]
    """``None`` for a file that was not at rest."""
    digests: list[str]
    folders: list[str]
    folder_stamps: list[Stamp | None]
    """``None`` for a folder that did not exist."""
    variables: dict[str, str | None]
    """Digests of declared variables, ``None`` where one was not set."""
    expires: int | None
    keys: list[Key]
    """Of the records that were used."""
    pipeline: str
    template: HitTemplate


def signature(project: Project, request: Request, environ: Mapping[str, str]) -> str:
    """Name the file of a request: everything that it rests on besides the disk."""
    words = [
        __version__,
        sys.version,
        sys.executable,
        project.config,
        *(environ.get(name, "") for name in _MEANING),
        repr((request.targets, request.tags, request.exclude, sorted(request.overrides.items()))),
        repr((request.only, request.downstream)),
    ]
    return digest_text("\0".join(words))


def recall(project: Project, name: str, environ: Mapping[str, str], now: int) -> Unchanged | None:
    """Return what a request rested on, if all of it is still so."""
    path = os.path.join(_folder(project), name)
    found = _read(path)
    if found is None or (found.expires is not None and now >= found.expires):
        return None
    for variable, digest in found.variables.items():
        if (digest_text(environ[variable]) if variable in environ else None) != digest:
            return None
    if [folder_stamp(folder) for folder in found.folders] != found.folder_stamps:
        return None
    doubtful = _doubtful(found)
    if doubtful is None:
        return None
    if doubtful:
        return _reassure(project, path, found, doubtful)
    return found


def remember(project: Project, name: str, unchanged: Unchanged) -> None:
    """Write down what an up-to-date pipeline rests on, unless a folder was written to just now."""
    now = FileClock(os.path.join(project.state, "clock")).now()
    if all(stamp is None or is_at_rest(stamp, now) for stamp in unchanged.folder_stamps):
        _write(os.path.join(_folder(project), name), unchanged)
        _forget_oldest(project)


def _doubtful(found: Unchanged) -> list[int] | None:
    """Return the positions of files that must be hashed to be known; ``None`` if one is gone."""
    stat = os.stat
    doubtful: list[int] = []
    try:
        for position, (path, stamp) in enumerate(zip(found.paths, found.stamps, strict=True)):
            status = stat(path)
            if stamp != (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino):
                doubtful.append(position)
    except OSError:
        return None
    return doubtful


def _reassure(project: Project, path: str, found: Unchanged, doubtful: list[int]) -> Unchanged | None:
    """Hash files that may differ; if none does, remember their new stamps."""
    now = FileClock(os.path.join(project.state, "clock")).now()
    stamps = list(found.stamps)
    for position in doubtful:
        try:
            stamp, digest = hash_file(found.paths[position])
        except OSError:
            return None
        if digest != found.digests[position]:
            return None
        stamps[position] = stamp if is_at_rest(stamp, now) else None
    known = msgspec.structs.replace(found, stamps=stamps)
    if known.stamps != found.stamps:
        _write(path, known)
    return known


def _read(path: str) -> Unchanged | None:
    """Read a file, checksum first: what decodes need not be what was written."""
    gc.disable()  # it would go through a growing heap again and again, in which nothing is garbage
    try:
        with open(path, "rb") as file:
            data = file.read()
        if xxh3_128_digest(data[_CHECKSUM:]) != data[:_CHECKSUM]:
            return None
        return msgspec.msgpack.decode(data[_CHECKSUM:], type=Unchanged)
    except (OSError, msgspec.DecodeError):
        return None
    finally:
        gc.enable()


def _write(path: str, unchanged: Unchanged) -> None:
    data = msgspec.msgpack.encode(unchanged)
    temporary = f"{path}.new"
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(xxh3_128_digest(data) + data)
        os.replace(temporary, path)


def _forget_oldest(project: Project) -> None:
    with contextlib.suppress(OSError):
        entries = sorted(os.scandir(_folder(project)), key=lambda entry: entry.stat().st_mtime_ns)
        for entry in entries[:-_KEPT]:
            os.unlink(entry.path)


def _folder(project: Project) -> str:
    return os.path.join(project.state, "unchanged")
