"""A pipeline of commands, prepared, and the record of an execution that left what is on disk."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbmake_dag.core.facts import result_of
from nbmake_dag.core.lookup import task_keys
from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.prepare import Prepared, prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.publish import record_of
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.execute.collect import collect_outputs
from nbmake_dag.execute.protocol import AttemptResult, Failure
from nbmake_dag.observe.project import find_project
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Origin, Record
from tests.support.project import Project

PIPELINE = """
    [pipeline]
    name = "survey"

    [tasks.make]
    command = ["cp", "source.txt", "data/made.csv"]
    inputs = ["source.txt"]
    outputs = ["data/made.csv"]

    [tasks.gone]
    command = "true"
    outputs = ["data/gone.csv"]

    [tasks.merge]
    command = ["python3", "work.py"]
    inputs = ["data/*.csv"]
    outputs = ["merged.txt"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Project:
    """Make a pipeline of commands; the last one's script imports a module that imports a second one."""
    project = Project(tmp_path / "project").pipeline(PIPELINE)
    project.write("source.txt", "1").write("data/own.csv", "2").write("data/made.csv", "1")
    project.write("work.py", "import helper").write("helper.py", "import second").write("second.py", "VALUE = 1")
    project.write("unrelated.py", "VALUE = 1")
    return project


@contextmanager
def prepared_in(folder: Project) -> Generator[tuple[Prepared, Stores]]:
    place = find_project(str(folder.root))
    stores = Stores.open(place)
    try:
        yield prepare(place, Request(), stores), stores
    finally:
        stores.close()


def own_key(folder: Project, task: str) -> Key:
    with prepared_in(folder) as (prepared, _):
        return prepared.facts[TaskName(task)].own_key


def record_now(
    folder: Project, prepared: Prepared, task: str, *modules: str, started: int = 0
) -> tuple[Record, tuple[str, ...]]:
    """Make the record of an execution that left what is on disk; also return why it must not be published."""
    results = {
        name: result_of(record_now(folder, prepared, name)[0], prepared.graph.tasks[name].parameters)
        for name in prepared.graph.with_upstream([TaskName(task)])
        if name != task
    }
    of = prepared.graph.tasks[TaskName(task)]
    keys = task_keys(of.name, prepared.graph, prepared.facts[of.name], results)
    outputs = collect_outputs(str(folder.root), [output.path for output in of.outputs], None)
    assert not isinstance(outputs, Failure)
    attempt = AttemptResult(
        outcome="succeeded", started=started or time.time_ns(), ended=0, outputs=outputs, modules=modules
    )
    origin = Origin(run_id="r", trace_id="0" * 32, span_id="0" * 16, started=1, duration_s=0.0)
    done = record_of(of, prepared.survey, prepared.facts[of.name], keys, attempt, results, origin, None)
    return done.record, done.unstable
