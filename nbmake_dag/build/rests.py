"""What an up-to-date pipeline rests on, gathered at the end of a build for the next one."""

from __future__ import annotations

import os

from nbmake_dag.build.outcome import RunOutcome, TaskOutcome
from nbmake_dag.build.prepare import Prepared, Stores
from nbmake_dag.build.request import Request
from nbmake_dag.build.unchanged import Unchanged, remember, signature
from nbmake_dag.core.model import TaskName
from nbmake_dag.record.hits import hit_template
from nbmake_dag.record.task_spans import Outcome, TaskInfo
from nbmake_dag_cache.digest import digest_file, digest_text
from nbmake_dag_cache.record import Output, Record
from nbmake_dag_cache.stamps import Stamp, folder_stamp


def remember_if_up_to_date(prepared: Prepared, request: Request, stores: Stores, outcome: RunOutcome) -> None:
    """If everything is up to date now, let the next build with this request see that at once."""
    records = {name: end.record for name, end in outcome.tasks.items() if end.record and _is_hit_next(end)}
    if len(records) < len(prepared.graph.order) or not request.reads_cache or prepared.ignored:
        return
    if request.affected is not None or prepared.rules.left_out:
        return
    project, graph = prepared.project, prepared.graph
    files = _files(prepared, stores, records)
    folders = {**prepared.survey.folders, **_output_folders(prepared, records)}
    if not _folders_hold_what_was_made(prepared, stores, records):
        return
    unchanged = Unchanged(
        paths=list(files),
        stamps=[stamp for stamp, _ in files.values()],
        digests=[digest for _, digest in files.values()],
        folders=list(folders),
        folder_stamps=list(folders.values()),
        variables={
            name: digest_text(prepared.variables[name]) if name in prepared.variables else None
            for name in prepared.pipeline.environment.variables
        },
        expires=_expires(prepared, records),
        keys=[record.key for record in records.values()],
        pipeline=prepared.pipeline.name,
        template=hit_template(
            (
                TaskInfo.of(graph.tasks[name], graph.upstream[name]),
                Outcome(
                    status="up_to_date",
                    key=records[name].key,
                    record=records[name],
                    notebook_source=outcome.tasks[name].notebook_source,
                ),
            )
            for name in graph.order
        ),
    )
    remember(project, signature(project, request, prepared.variables), unchanged)


def _is_hit_next(end: TaskOutcome) -> bool:
    """Say whether a task ended in a way that the next build would find as a hit."""
    if end.draft:
        return False
    return end.status in {"up_to_date", "restored"} or (end.status == "ran" and end.published)


def _files(
    prepared: Prepared, stores: Stores, records: dict[TaskName, Record]
) -> dict[str, tuple[Stamp | None, str]]:
    """Return every file that was looked at, every output as its record has it, and the copies of notebooks."""
    project = prepared.project
    inside = len(project.root) + 1
    seen: dict[str, tuple[Stamp | None, str]] = {
        path: row for path, row in stores.files.seen.items() if prepared.graph.owner_of(path[inside:]) is None
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


def _output_folders(prepared: Prepared, records: dict[TaskName, Record]) -> dict[str, Stamp | None]:
    """Return the folders of directory outputs as they are: a file that joins one makes it another output."""
    folders: set[str] = set()
    for output in _directories(records):
        folders.add(prepared.project.absolute(output.path))
        folders |= {os.path.dirname(prepared.project.absolute(file.path)) for file in output.files}
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
    """Return when the first record becomes too old, in nanoseconds since the epoch."""
    ends = [
        record.origin.started + int(max_age * 1e9)
        for name, record in records.items()
        if (max_age := prepared.graph.tasks[name].policy.max_age) is not None
    ]
    return min(ends, default=None)
