"""All checks of `nbdag doctor`, in the order of their reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.graph import build_graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.core.targets import select
from nbmake_dag.doctor.absolute_paths import absolute_paths
from nbmake_dag.doctor.git import tracked_outputs, unignored_state
from nbmake_dag.doctor.machine import broken_executors, installation, kernels_in_use, remote_file_system
from nbmake_dag.doctor.repetition import quickest, repeat
from nbmake_dag.doctor.unlocked import unlocked
from nbmake_dag.engine.prepare import Prepared, load, prepare
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.results.undeclared import undeclared
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
    "import_unlocked",
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


def examine(project: Project, targets: tuple[str, ...], tell: Callable[[str], None]) -> Iterator[Complaint]:
    """Yield complaints; ``tell`` gets a line for what is in use, and for what is executed. Nothing is changed.

    Raises `NbdagError` for a pipeline that cannot be built at all.
    """
    for line in installation():
        tell(line)
    stores = Stores.open(project)
    try:
        pipeline, sources, interpreters = load(project, Request(), stores)
        graph = build_graph(pipeline)
        chosen = select(graph, targets)
        tasks = [graph.tasks[name] for name in graph.order if name in chosen]
        needed = [graph.tasks[name] for name in graph.with_upstream(chosen)]
        kernels = Kernels(interpreters.variables, stores.identities, interpreters)
        for line in kernels_in_use(needed, sources, kernels):
            tell(line)
        without_kernel = missing_kernels(needed, sources, kernels)
        yield from _coded("kernel_missing", without_kernel.values())
        yield from _coded("executor_broken", broken_executors())
        if os.path.exists(_MOUNTS):
            with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
                yield from _coded("file_system_remote", remote_file_system(project, file.read()))
        yield from _coded("state_not_ignored", unignored_state(project))
        yield from _coded("output_tracked", tracked_outputs(project, tasks))
        yield from _coded("absolute_path", absolute_paths(project, tasks))
        if without_kernel:
            return
        prepared = prepare(project, Request(targets=targets), stores)
        yield from _coded("undeclared_file", _undeclared(prepared, chosen))
        yield from _coded("import_unlocked", unlocked(prepared, chosen))
        yield from _coded("absent", absent(project, pipeline, prepared.graph, prepared.survey))
        starts = uncovered_starts(prepared.graph, prepared.survey, prepared.facts)
        yield from _coded("computed_name", starts)
        sample = quickest(graph, stores)
        named = [task.name for task in tasks if not task.is_unknown]
        for name in named if targets else [sample] if sample else []:
            tell(f"{name} is executed again in a temporary copy")
            uncovered = prepared.survey.reach.of(graph.tasks[name]).unknown
            yield from repeat(project, graph, stores, name, uncovered)
        if sample and not targets and len(tasks) > 1:
            tell(f"only {sample} was executed; `nbdag doctor '*'` executes all {len(tasks)}")
    finally:
        stores.close()


def doctor_document(found: Iterable[Complaint]) -> DoctorDocument:
    """Describe complaints for `nbdag doctor --json`."""
    return DoctorDocument(
        findings=tuple(msgspec.convert(each, FindingDocument, from_attributes=True) for each in found)
    )


def _coded(code: Check, complaints: Iterable[Complaint]) -> Iterator[Complaint]:
    return (replace(complaint, code=code) for complaint in complaints)


def _undeclared(prepared: Prepared, names: Iterable[TaskName]) -> Iterator[Complaint]:
    """Yield the files that tasks used without declaring them, as their last results tell."""
    verdicts = plan(prepared.graph, prepared.facts, prepared.rules)
    for name in sorted(names):
        task, verdict = prepared.graph.tasks[name], verdicts[name]
        counts = isinstance(verdict, (UpToDate, Restorable))
        record = verdict.record if isinstance(verdict, (UpToDate, Restorable)) else prepared.facts[name].previous
        for access in undeclared(task, record.undeclared) if record else ():
            verb, key = ("wrote", "outputs") if access.mode == "write" else ("read", "inputs")
            declared = f'add "{access.path}" to its `{key}`'
            when = "" if counts else " when it last ran, before a change,"
            yield Complaint(
                what=f"task `{name}` {verb} `{access.path}`{when} and does not declare it",
                place=task.place_of(key),
                hint=declared if counts else "build it, then run `nbdag doctor` again",
            )
