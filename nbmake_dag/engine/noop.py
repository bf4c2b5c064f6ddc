"""A build with nothing to do, recognised from one file without reading the pipeline.

At the end of a build that left everything up to date, this file lists the files, folders, variables and records
that this depends on. The next build with the same request checks whether they are unchanged; if so it only writes
the record of its run, whose lines are ready in the file but for ids and times.

Only what was verified by content is trusted: a file that was not at rest is hashed when it is next checked, and
what a folder holds is listed. Losing or damaging the file costs time.
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
from nbmake_dag.observe.places import PathKind, is_program, kind_of
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag.observe.variables import digest_variable
from nbmake_dag.record.hits import Hits, store_hits
from nbmake_dag.record.outcome import RunOutcome, TaskOutcome, UndeclaredFile
from nbmake_dag_cache.digest import digest_file, digest_text
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.layout import CacheLayout
from nbmake_dag_cache.record import Output, Record
from nbmake_dag_cache.stamps import FileClock, Stamp, folder_stamp, hash_file, is_at_rest, what_is_at
from nbmake_dag_reporting.hit_tables import table_path
from nbmake_dag_reporting.vocabulary import HITS

if TYPE_CHECKING:
    from nbmake_dag.core.model import TaskName
    from nbmake_dag.engine.prepare import Prepared
    from nbmake_dag.engine.state.stores import Stores

_KIND = "nbdag-unchanged 7"
_FILES = 8
"""Files at most: of the latest requests that differ."""
_RESTLESS: Stamp = (-1, -1, -1, -1)
"""Stands for the stamp of a place that was not at rest; no place has it."""


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
    contents: dict[str, str]
    """Of those of them that may be compared by it, what they held: they may have other stamps."""
    kinds: dict[str, PathKind]
    programs: dict[str, bool]
    """What was at paths of which that alone decided how a command is read."""
    variables: dict[str, str | None]
    """Digests of all variables that decided something, ``None`` for one that was not set."""
    expires: int | None
    records: list[tuple[Key, Key]]
    """Own key and key of each record that was used."""
    record_stamps: list[Stamp | None]
    """Of their files: a record that is gone, or damaged, is no hit."""
    pipeline: str
    hits: Hits
    """What is recorded: the tables that hold the spans."""
    table_stamps: list[Stamp | None]
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
    if not _are_still(found.kinds, found.programs):
        return None
    moved = _moved(found)
    if moved is None:
        return None
    if _record_stamps(project, found.records) != found.record_stamps:
        return None
    if _table_stamps(project, found.hits) != found.table_stamps:
        return None
    doubtful = _doubtful(found)
    if doubtful is None:
        return None
    if doubtful or moved:
        return _reassure(project, file, found, doubtful, moved)
    return found


def remember(project: Project, name: str, unchanged: Unchanged) -> None:
    """Record what an up-to-date pipeline depends on, unless a place without contents was written to just now."""
    now = FileClock(os.path.join(project.state, "clock")).now()
    stamps = [_if_at_rest(stamp, now) for stamp in unchanged.folder_stamps]
    restless = (folder for folder, stamp in zip(unchanged.folders, stamps, strict=True) if stamp == _RESTLESS)
    if all(folder in unchanged.contents for folder in restless):
        _write(project, _file(project, name), msgspec.structs.replace(unchanged, folder_stamps=stamps))
        _forget_oldest(project)


def _are_still(kinds: Mapping[str, PathKind], programs: Mapping[str, bool]) -> bool:
    return all(kind_of(path) == kind for path, kind in kinds.items()) and all(
        is_program(path) == was_program for path, was_program in programs.items()
    )


def _if_at_rest(stamp: Stamp | None, now: int) -> Stamp | None:
    return stamp if stamp is None or is_at_rest(stamp, now) else _RESTLESS


def _moved(found: Unchanged) -> dict[int, Stamp] | None:
    """Return the present stamps of places, by position, that hold what they held; ``None`` if one does not."""
    stamps = [folder_stamp(folder) for folder in found.folders]
    if stamps == found.folder_stamps:
        return {}
    moved: dict[int, Stamp] = {}
    for position, (folder, stamp, before) in enumerate(
        zip(found.folders, stamps, found.folder_stamps, strict=True)
    ):
        if stamp == before:
            continue
        content = found.contents.get(folder)
        if stamp is None or content is None or what_is_at(folder) != content:
            return None
        moved[position] = stamp
    return moved


def _record_stamps(project: Project, records: Iterable[tuple[Key, Key]]) -> list[Stamp | None]:
    layout = CacheLayout(project.cache)
    return [folder_stamp(layout.record(own_key, key)) for own_key, key in records]


def _table_stamps(project: Project, hits: Hits) -> list[Stamp | None]:
    return [folder_stamp(table_path(project.runs, name)) for name in hits.tables]


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
    project: Project,
    file: StateFile[Unchanged],
    found: Unchanged,
    doubtful: list[int],
    moved: dict[int, Stamp],
) -> Unchanged | None:
    """Hash files that may differ; if none does, remember their new stamps, and those of places."""
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
    folder_stamps = list(found.folder_stamps)
    for position, moved_to in moved.items():
        folder_stamps[position] = _if_at_rest(moved_to, now)
    known = msgspec.structs.replace(found, stamps=stamps, folder_stamps=folder_stamps)
    if known != found:
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
def remember_if_up_to_date(
    prepared: Prepared, request: Request, stores: Stores, outcome: RunOutcome, written: Hits | None = None
) -> None:
    """If everything is up to date now, let the next build with this request see that at once.

    ``written`` are the tables of this run, if they hold all of it.
    """
    from nbmake_dag.engine.results.undeclared import undeclared_files  # noqa: PLC0415 - likewise

    records = {name: end.record for name, end in outcome.tasks.items() if end.record and _is_hit_next(end)}
    if len(records) < len(prepared.graph.order) or not request.reads_cache or prepared.leftovers:
        return
    if prepared.git_is_silent or request.affected is not None or prepared.rules.left_out:
        return
    project, graph = prepared.project, prepared.graph
    if any(end.warnings and graph.tasks[name].policy.notebook_output for name, end in outcome.tasks.items()):
        # a copy that was not written is tried again
        return
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
    made = _output_folders(prepared, records)
    searched = _searched(prepared)
    if searched is None or not _rest_on_folders_as_they_are(prepared, records.values()):
        return
    kinds, programs = prepared.survey.kinds, prepared.survey.programs
    if not _are_still(kinds, programs):
        return
    folders = {**gone, **searched, **{folder: stamp for folder, (stamp, _) in made.items()}}
    contents = {**prepared.survey.contents, **{folder: held for folder, (_, held) in made.items() if held}}
    if not _folders_hold_what_was_made(prepared, stores, records):
        return
    used = [(record.own_key, record.key) for record in records.values()]
    record_stamps = _record_stamps(project, used)
    if None in record_stamps:
        return
    hits = written or _stored_hits(prepared, stores, records, outcome)
    if hits is None:
        return
    unchanged = Unchanged(
        paths=list(files),
        stamps=[stamp for stamp, _ in files.values()],
        digests=[digest for _, digest in files.values()],
        executable=[executable.get(path) for path in files],
        folders=list(folders),
        folder_stamps=list(folders.values()),
        contents={folder: content for folder, content in contents.items() if folder in folders},
        kinds=dict(kinds),
        # the permission of the others is compared with their bytes
        programs={
            path: was for path, was in programs.items() if path not in files or executable.get(path) is None
        },
        variables=dict(prepared.survey.noted),
        expires=_expires(prepared, records),
        records=used,
        record_stamps=record_stamps,
        pipeline=prepared.pipeline.name,
        hits=hits,
        table_stamps=_table_stamps(project, hits),
        warnings=list(prepared.standing_warnings),
        undeclared={str(name): found for name, found in undeclared.items()},
    )
    remember(project, signature(project, request), unchanged)


def _stored_hits(
    prepared: Prepared, stores: Stores, records: dict[TaskName, Record], outcome: RunOutcome
) -> Hits | None:
    """Store the spans of all tasks as those of hits; ``None`` where that is not possible."""
    from nbmake_dag.record.task_spans import TaskInfo  # noqa: PLC0415 - not for a build with nothing to do

    graph = prepared.graph
    hits = (
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
    )
    try:
        return store_hits(prepared.project.runs, hits, keep=lambda value: stores.blobs.put_bytes(value).sha256)
    except OSError:
        return None


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


def _rest_on_folders_as_they_are(prepared: Prepared, records: Iterable[Record]) -> bool:
    """Return whether the folders of modules that results depend on hold what they held then."""
    digests = {
        found.name: found.value
        for record in records
        for found in record.ingredients
        if found.kind == "module" and found.name.endswith("/")
    }
    return prepared.survey.module_digests(digests) == digests


def _searched(prepared: Prepared) -> dict[str, Stamp | None] | None:
    """Return the places that were searched, as they are; ``None`` if one does not hold what it held then.

    Outputs that were made again are other files of the same names.
    """
    contents = prepared.survey.contents
    searched: dict[str, Stamp | None] = {}
    for place, before in prepared.survey.folders.items():
        stamp = folder_stamp(place)
        if stamp != before and (place not in contents or what_is_at(place) != contents[place]):
            return None
        searched[place] = stamp
    return searched


def _output_folders(
    prepared: Prepared, records: dict[TaskName, Record]
) -> dict[str, tuple[Stamp | None, str | None]]:
    """Return the folders of directory outputs as they are: a file that joins one makes it another output.

    Each with its stamp, and then what it holds.
    """
    folders: set[str] = set()
    for output in _directories(records):
        top = prepared.project.absolute(output.path)
        folders.add(top)
        for path in (*(os.path.dirname(file.path) for file in output.files), *output.folders):
            folder = prepared.project.absolute(path).rstrip("/")
            while folder.startswith(top):
                folders.add(folder)
                folder = os.path.dirname(folder)
    return {folder: (folder_stamp(folder), what_is_at(folder)) for folder in folders}


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
