"""All that `nbdag doctor` looks at, in the order in which it is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from nbmake_dag.build.prepare import Stores, load, prepare
from nbmake_dag.build.request import Request
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.targets import select
from nbmake_dag.diagnosis.absolute_paths import absolute_paths
from nbmake_dag.diagnosis.git import tracked_outputs, unignored_state
from nbmake_dag.diagnosis.machine import broken_ray, remote_file_system
from nbmake_dag.diagnosis.repetition import quickest, repeat
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.absent import absent
from nbmake_dag.observe.kernels import Kernels, missing_kernels
from nbmake_dag.observe.project import Project

_MOUNTS = "/proc/self/mountinfo"


def examine(
    project: Project, targets: tuple[str, ...], executes: Callable[[TaskName], None]
) -> Iterator[Complaint]:
    """Yield complaints; ``executes`` is told of a task before it is executed again. The project stays as it is.

    Raises `NbdagError` for a pipeline that cannot be built at all.
    """
    stores = Stores.open(project)
    try:
        pipeline, sources, _ = load(project, Request(), stores)
        graph = build_graph(pipeline, file=os.path.basename(project.config))
        chosen = select(graph, targets)
        tasks = [graph.tasks[name] for name in graph.order if name in chosen]
        needed = (graph.tasks[name] for name in graph.order if name in graph.above(chosen))
        without_kernel = missing_kernels(project, needed, sources, Kernels(os.environ, stores.identities))
        yield from without_kernel
        yield from broken_ray()
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
        sample = quickest(graph, stores)
        for name in [task.name for task in tasks] if targets else [sample] if sample else []:
            executes(name)
            yield from repeat(project, graph, stores, name)
    finally:
        stores.close()


def _undeclared(project: Project, graph: Graph, names: Iterable[TaskName], stores: Stores) -> Iterator[Complaint]:
    """Yield the files that tasks used, when they ran last, without declaring them."""
    for name in sorted(names):
        record = stores.last.record(name, stores.records)
        for access in record.undeclared if record else ():
            verb, key = ("wrote", "outputs") if access.mode == "write" else ("read", "inputs")
            yield Complaint(
                what=f"task `{name}` {verb} `{access.path}` and does not declare it",
                place=f"{os.path.basename(project.config)}:{graph.tasks[name].line}",
                hint=f'add "{access.path}" to its `{key}`',
            )
