"""A build with nothing to do, recognised from one file without reading the pipeline.

At the end of a build that left everything up to date, this file lists the files, folders, variables and records
that this depends on. The next build with the same request checks whether they are unchanged; if so it only writes
the record of its run, whose lines are ready in the file but for ids and times.

Only what was verified by content is trusted: a file that was not at rest is hashed when it is next checked, and
a folder that was not keeps the file from being written at all. Losing or damaging the file costs time.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from nbmake_dag import __version__
from nbmake_dag.engine.heap import growing_heap
from nbmake_dag.engine.request import Request
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag.observe.variables import digest_variable
from nbmake_dag.record.hits import HitTemplate, hit_template
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome, UndeclaredFile
from nbmake_dag_cache.digest import digest_file, digest_text
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.record import Output, Record
from nbmake_dag_cache.stamps import FileClock, Stamp, folder_stamp, hash_file, is_at_rest
from nbmake_dag_reporting.vocabulary import HITS

if TYPE_CHECKING:
    from nbmake_dag.core.model import TaskName
    from nbmake_dag.engine.prepare import Prepared
    from nbmake_dag.engine.state.stores import Stores

_KIND = "nbdag-unchanged 3"
_FILES = 8
"""Files at most: of the latest requests that differ."""


class Unchanged(msgspec.Struct, frozen=True, array_like=True):
    """What an up-to-date pipeline depends on. Paths are absolute; ``expires`` in nanoseconds since the epoch."""

    paths: list[str]
    stamps: list[Stamp | None]
    """``None`` for a file that was not at rest."""
    digests: list[str]
    executable: list[bool | None]
    """Whether a file may be executed; ``None`` where that decides nothing."""
    folders: list[str]
    folder_stamps: list[Stamp | None]
    """``None`` for a folder, or a file, that did not exist."""
    variables: dict[str, str | None]
    """Digests of all variables that decided something, ``None`` for one that was not set."""
    expires: int | None
    records: list[tuple[Key, Key]]
    """Own key and key of each record that was used."""
    record_stamps: list[Stamp | None]
    """Of their files: a record that is gone, or damaged, is no hit."""
    pipeline: str
    template: HitTemplate
    warnings: list[str] = []
    """What is reported each time."""
    undeclared: dict[str, tuple[UndeclaredFile, ...]] = {}
    """Of each task, the files that its result depends on and that it does not declare. They are in ``paths``,
    those that do not exist in ``folders``."""


def signature(project: Project, request: Request) -> str:
    """Name the file of a request: everything that it depends on except the disk and the environment."""
    words = [
        __version__,
        sys.version,
        sys.executable,
        *sys.path,
        project.config,
        project.repository,
        repr(
            (project.profiles, request.targets, request.tags, request.exclude, sorted(request.overrides.items()))
        ),
        repr((request.checks, request.only, request.downstream)),
    ]
    return digest_text("\0".join(words))


def recall(
    project: Project, name: str, environ: Mapping[str, str], now: int, warn: Callable[[str], None]
) -> Unchanged | None:
    """Return what a request depended on, if all of it is still so."""
    file = _file(project, name)
    found = _read(file, warn)
    if found is None or (found.expires is not None and now >= found.expires):
        return None
    if any(digest_variable(environ.get(variable)) != digest for variable, digest in found.variables.items()):
        return None
    if [folder_stamp(folder) for folder in found.folders] != found.folder_stamps:
        return None
    if _record_stamps(project, found.records) != found.record_stamps:
        return None
    doubtful = _doubtful(found)
    if doubtful is None:
        return None
    if doubtful:
        return _reassure(project, file, found, doubtful)
    return found


def remember(project: Project, name: str, unchanged: Unchanged) -> None:
    """Record what an up-to-date pipeline depends on, unless a folder was written to just now."""
    now = FileClock(os.path.join(project.state, "clock")).now()
    if all(stamp is None or is_at_rest(stamp, now) for stamp in unchanged.folder_stamps):
        _write(project, _file(project, name), unchanged)
        _forget_oldest(project)


def _record_stamps(project: Project, records: Iterable[tuple[Key, Key]]) -> list[Stamp | None]:
    layout = CacheLayout(project.cache)
    return [folder_stamp(layout.record(own_key, key)) for own_key, key in records]


def _doubtful(found: Unchanged) -> list[int] | None:
    """Return the positions of files that must be hashed to be known; ``None`` if one is gone."""
    look = os.stat
    doubtful: list[int] = []
    try:
        for position, (path, stamp) in enumerate(zip(found.paths, found.stamps, strict=True)):
            status = look(path)
            if stamp != (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino):
                doubtful.append(position)
    except OSError:
        return None
    return doubtful


def _reassure(
    project: Project, file: StateFile[Unchanged], found: Unchanged, doubtful: list[int]
) -> Unchanged | None:
    """Hash files that may differ; if none does, remember their new stamps."""
    now = FileClock(os.path.join(project.state, "clock")).now()
    stamps = list(found.stamps)
    for position in doubtful:
        try:
            stamp, digest = hash_file(found.paths[position])
            executable = bool(os.stat(found.paths[position]).st_mode & stat.S_IXUSR)
        except OSError:
            return None
        if digest != found.digests[position] or found.executable[position] not in {None, executable}:
            return None
        stamps[position] = stamp if is_at_rest(stamp, now) else None
    known = msgspec.structs.replace(found, stamps=stamps)
    if known.stamps != found.stamps:
        _write(project, file, known)
    return known


def _file(project: Project, name: str) -> StateFile[Unchanged]:
    return StateFile(os.path.join(_folder(project), name), _KIND, Unchanged, packed=True)


def _read(file: StateFile[Unchanged], warn: Callable[[str], None]) -> Unchanged | None:
    with growing_heap(), contextlib.suppress(OSError):
        return file.read(warn)
    return None


def _write(project: Project, file: StateFile[Unchanged], unchanged: Unchanged) -> None:
    with contextlib.suppress(OSError):
        os.makedirs(_folder(project), exist_ok=True)
        file.write(unchanged)


def _forget_oldest(project: Project) -> None:
    with contextlib.suppress(OSError):
        entries = sorted(
            os.scandir(_folder(project)), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns
        )
        for entry in entries[:-_FILES]:
            os.unlink(entry.path)


def _folder(project: Project) -> str:
    return os.path.join(project.state, "unchanged")


@growing_heap()
def remember_if_up_to_date(prepared: Prepared, request: Request, stores: Stores, outcome: RunOutcome) -> None:
    """If everything is up to date now, let the next build with this request see that at once."""
    from nbmake_dag.engine.results.undeclared import undeclared_files  # noqa: PLC0415 - likewise
    from nbmake_dag.record.task_spans import TaskInfo  # noqa: PLC0415 - not for a build with nothing to do

    records = {name: end.record for name, end in outcome.tasks.items() if end.record and _is_hit_next(end)}
    if len(records) < len(prepared.graph.order) or not request.reads_cache or prepared.leftovers:
        return
    if request.affected is not None or prepared.rules.left_out:
        return
    project, graph = prepared.project, prepared.graph
    if not all(_is_made(prepared, path) for path in stores.files.differing):
        # some of the records rest on what it was, others on what it is
        return
    executable = stores.files.executable | {
        project.absolute(file.path): file.executable
        for record in records.values()
        for output in record.outputs
        for file in output.files
    }
    undeclared = undeclared_files(project, stores.files, graph, records)
    files = _files(prepared, stores, records)
    absent = (project.absolute(file.path) for found in undeclared.values() for file in found if file.changed)
    gone = {path: None for path in absent if folder_stamp(path) is None}
    folders = {**gone, **prepared.survey.folders, **_output_folders(prepared, records)}
    if not _folders_hold_what_was_made(prepared, stores, records):
        return
    used = [(record.own_key, record.key) for record in records.values()]
    record_stamps = _record_stamps(project, used)
    if None in record_stamps:
        return
    unchanged = Unchanged(
        paths=list(files),
        stamps=[stamp for stamp, _ in files.values()],
        digests=[digest for _, digest in files.values()],
        executable=[executable.get(path) for path in files],
        folders=list(folders),
        folder_stamps=list(folders.values()),
        variables=dict(prepared.survey.noted),
        expires=_expires(prepared, records),
        records=used,
        record_stamps=record_stamps,
        pipeline=prepared.pipeline.name,
        template=hit_template(
            (
                (
                    TaskInfo.of(graph.tasks[name], graph.upstream[name]),
                    TaskOutcome(
                        task=name,
                        status="up_to_date",
                        record=records[name],
                        notebook_source=outcome.tasks[name].notebook_source,
                    ),
                )
                for name in graph.order
            ),
            keep=lambda value: stores.blobs.put_bytes(value).sha256,
        ),
        warnings=list(prepared.standing_warnings),
        undeclared={str(name): found for name, found in undeclared.items()},
    )
    remember(project, signature(project, request), unchanged)


def _is_hit_next(end: TaskOutcome) -> bool:
    """Return whether a task ended in a way that the next build would find as a hit."""
    if end.draft:
        return False
    return end.status in HITS or (end.status == "ran" and end.published)


def _files(
    prepared: Prepared, stores: Stores, records: dict[TaskName, Record]
) -> dict[str, tuple[Stamp | None, str]]:
    """Return every file that was looked at, every output as its record has it, and the copies of notebooks."""
    project = prepared.project
    seen: dict[str, tuple[Stamp | None, str]] = {
        path: row for path, row in stores.files.seen.items() if not _is_made(prepared, path)
    }
    for record in records.values():
        for output in record.outputs:
            for file in output.files:
                path = project.absolute(file.path)
                row = stores.files.seen.get(path)
                seen[path] = row if row is not None and row[1] == file.xxh3 else (None, file.xxh3)
    for name in records:
        copy = prepared.graph.tasks[name].policy.notebook_output
        if copy is not None:
            path = project.absolute(copy)
            seen[path] = None, digest_file(path)
    return seen


def _is_made(prepared: Prepared, path: str) -> bool:
    """Return whether an absolute path is an output of a task, or in one; what is outside the project is not."""
    root = f"{prepared.project.root}/"
    return path.startswith(root) and prepared.graph.owner_of(path.removeprefix(root)) is not None


def _output_folders(prepared: Prepared, records: dict[TaskName, Record]) -> dict[str, Stamp | None]:
    """Return the folders of directory outputs as they are: a file that joins one makes it another output."""
    folders: set[str] = set()
    for output in _directories(records):
        top = prepared.project.absolute(output.path)
        folders.add(top)
        for path in (*(os.path.dirname(file.path) for file in output.files), *output.folders):
            folder = prepared.project.absolute(path).rstrip("/")
            while folder.startswith(top):
                folders.add(folder)
                folder = os.path.dirname(folder)
    return {folder: folder_stamp(folder) for folder in folders}


def _folders_hold_what_was_made(prepared: Prepared, stores: Stores, records: dict[TaskName, Record]) -> bool:
    """Look once more at directory outputs, after their stamps were taken."""
    return all(
        stores.files.digest_directory(prepared.project.absolute(output.path)) == output.digest
        for output in _directories(records)
    )


def _directories(records: dict[TaskName, Record]) -> list[Output]:
    return [output for record in records.values() for output in record.outputs if output.path.endswith("/")]


def _expires(prepared: Prepared, records: dict[TaskName, Record]) -> int | None:
    """Return when the first record becomes too old, or a server is to be asked again.

    In nanoseconds since the epoch.
    """
    ends = [
        record.origin.started + int(max_age * 1e9)
        for name, record in records.items()
        if (max_age := prepared.graph.tasks[name].policy.max_age) is not None
    ]
    copies = prepared.survey.copies
    remote = [item.remote for name in records for item in prepared.graph.tasks[name].inputs if item.remote]
    ends += (end for each in remote if (end := copies.expires(each)) is not None)
    return min(ends, default=None)
