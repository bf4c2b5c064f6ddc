"""What tasks last made elsewhere, by the runs that came with the cache: a fresh clone can say what changed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from nbmake_dag.build.shown import run_folders
from nbmake_dag.core.model import TaskName
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore
from nbmake_dag_reporting.runs import RunNotFoundError, read_run

_RUNS = 5
"""Runs that are read: in the newest one some tasks may have failed."""


def carried_results(project: Project, tasks: Iterable[TaskName], records: RecordStore) -> dict[TaskName, Record]:
    """Return the newest record of each task that the last runs name and the cache still has."""
    wanted = set(tasks)
    found: dict[TaskName, Record] = {}
    for folder in run_folders(project.runs)[:_RUNS]:
        with suppress(RunNotFoundError):
            run = read_run(folder)
            for name in wanted.difference(found).intersection(run.tasks):
                ref = run.tasks[name].record
                if ref and (record := records.get(Key(ref.own_key), Key(ref.key))) is not None:
                    found[name] = record
        if len(found) == len(wanted):
            break
    return found
