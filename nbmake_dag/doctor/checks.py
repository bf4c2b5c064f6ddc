"""All checks of `nbdag doctor`, in the order of their reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

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

_MOUNTS = "/proc/self/mountinfo"


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
        yield from without_kernel.values()
        yield from broken_executors()
        if os.path.exists(_MOUNTS):
            with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
                yield from remote_file_system(project, file.read())
        yield from unignored_state(project)
        yield from tracked_outputs(project, tasks)
        yield from absolute_paths(project, tasks)
        yield from _undeclared(project, graph, chosen, stores)
        if without_kernel:
            return
        prepared = prepare(project, Request(targets=targets), stores)
        yield from absent(project, pipeline, prepared.graph, prepared.survey)
        yield from uncovered_starts(project, prepared.graph, prepared.survey, prepared.facts)
        sample = quickest(graph, stores)
        for name in [task.name for task in tasks] if targets else [sample] if sample else []:
            executes(name)
            uncovered = prepared.survey.reached(graph.tasks[name]).unknown
            yield from repeat(project, graph, stores, name, uncovered)
    finally:
        stores.close()


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
