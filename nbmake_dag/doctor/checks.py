"""All checks of `nbdag doctor`, in the order of their reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Struct

from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.targets import select
from nbmake_dag.doctor.absolute_paths import absolute_paths
from nbmake_dag.doctor.git import tracked_outputs, unignored_state
from nbmake_dag.doctor.machine import broken_executors, remote_file_system
from nbmake_dag.doctor.repetition import quickest, repeat
from nbmake_dag.engine.prepare import load, prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.state.stores import Stores
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.absent import absent, uncovered_starts
from nbmake_dag.observe.kernels import Kernels, missing_kernels
from nbmake_dag.observe.project import Project
from nbmake_dag_reporting.documents import Format, described

Check: TypeAlias = Literal[
    "kernel_missing",
    "executor_broken",
    "file_system_remote",
    "state_not_ignored",
    "output_tracked",
    "absolute_path",
    "undeclared_file",
    "absent",
    "computed_name",
    "fails_apart",
    "changed_since",
    "differs_each_time",
    "input_not_read",
]
"""What is looked for: the `code` of each complaint."""

_MOUNTS = "/proc/self/mountinfo"


class FindingDocument(Struct, frozen=True, kw_only=True):
    """One thing to change."""

    code: Annotated[Check, described("the check")]
    what: Annotated[str, described("what was found, in words that may change")]
    place: Annotated[str, described("`file:line`, or a file; empty where there is none")]
    hint: Annotated[str, described("what to do, in words that may change")]


class DoctorDocument(Struct, frozen=True, kw_only=True):
    """What there is to change."""

    format: Format = 1
    findings: Annotated[tuple[FindingDocument, ...], described("in the order of the checks")]


def examine(
    project: Project, targets: tuple[str, ...], executes: Callable[[TaskName], None]
) -> Iterator[Complaint]:
    """Yield complaints; ``executes`` is called with a task before it is executed. The project is not changed.

    Raises `NbdagError` for a pipeline that cannot be built at all.
    """
    stores = Stores.open(project)
    try:
        pipeline, sources, interpreters = load(project, Request(), stores)
        graph = build_graph(pipeline, file=os.path.basename(project.config))
        chosen = select(graph, targets)
        tasks = [graph.tasks[name] for name in graph.order if name in chosen]
        needed = (graph.tasks[name] for name in graph.with_upstream(chosen))
        kernels = Kernels(interpreters.variables, stores.identities, interpreters)
        without_kernel = missing_kernels(project, needed, sources, kernels)
        yield from _coded("kernel_missing", without_kernel.values())
        yield from _coded("executor_broken", broken_executors())
        if os.path.exists(_MOUNTS):
            with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
                yield from _coded("file_system_remote", remote_file_system(project, file.read()))
        yield from _coded("state_not_ignored", unignored_state(project))
        yield from _coded("output_tracked", tracked_outputs(project, tasks))
        yield from _coded("absolute_path", absolute_paths(project, tasks))
        yield from _coded("undeclared_file", _undeclared(project, graph, chosen, stores))
        if without_kernel:
            return
        prepared = prepare(project, Request(targets=targets), stores)
        yield from _coded("absent", absent(project, pipeline, prepared.graph, prepared.survey))
        starts = uncovered_starts(project, prepared.graph, prepared.survey, prepared.facts)
        yield from _coded("computed_name", starts)
        sample = quickest(graph, stores)
        for name in [task.name for task in tasks] if targets else [sample] if sample else []:
            executes(name)
            uncovered = prepared.survey.reached(graph.tasks[name]).unknown
            yield from repeat(project, graph, stores, name, uncovered)
    finally:
        stores.close()


def doctor_document(found: Iterable[Complaint]) -> DoctorDocument:
    """Describe complaints for `nbdag doctor --json`."""
    return DoctorDocument(
        findings=tuple(msgspec.convert(each, FindingDocument, from_attributes=True) for each in found)
    )


def _coded(code: Check, complaints: Iterable[Complaint]) -> Iterator[Complaint]:
    return (replace(complaint, code=code) for complaint in complaints)


def _undeclared(project: Project, graph: Graph, names: Iterable[TaskName], stores: Stores) -> Iterator[Complaint]:
    """Yield the files that tasks used, when they ran last, without declaring them."""
    for name in sorted(names):
        record = stores.previous.record(name, stores.records)
        for access in record.undeclared if record else ():
            verb, key = ("wrote", "outputs") if access.mode == "write" else ("read", "inputs")
            yield Complaint(
                what=f"task `{name}` {verb} `{access.path}` and does not declare it",
                place=f"{os.path.basename(project.config)}:{graph.tasks[name].line}",
                hint=f'add "{access.path}" to its `{key}`',
            )
