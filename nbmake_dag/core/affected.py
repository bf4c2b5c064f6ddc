"""Which tasks a change of files concerns, without looking at what any of them made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nbmake_dag.core.globs import matches
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Input, Pipeline, Policy, Task, TaskName


def affected(
    graph: Graph,
    changed: Iterable[str],
    rests_on: Mapping[TaskName, frozenset[str]],
    again: frozenset[TaskName],
) -> frozenset[TaskName]:
    """Return the tasks that rest on a changed file, those named by ``again``, and all below them.

    Paths are relative to the folder of ``pipeline.toml``; files that are gone are known by the inputs that would
    match them, and a changed folder stands for all that is in it.
    """
    changed = tuple(changed)
    touched = again.union(
        name
        for name in graph.order
        if any(_concerns(path, rests_on[name], graph.external[name]) for path in changed)
    )
    return graph.below(touched)


def redeclared(before: Pipeline, after: Pipeline) -> frozenset[TaskName]:
    """Return the tasks that are new, or whose declaration decides another result than it did."""
    if (before.environment, before.cache.epoch) != (after.environment, after.cache.epoch):
        return frozenset(after.tasks)
    return frozenset(
        name
        for name, task in after.tasks.items()
        if name not in before.tasks or _essence(before.tasks[name]) != _essence(task)
    )


def _concerns(path: str, files: frozenset[str], inputs: Iterable[Input]) -> bool:
    return (
        path in files
        or any(file.startswith(f"{path}/") for file in files)
        or any(_names(item, path) for item in inputs)
    )


def _names(item: Input, path: str) -> bool:
    if item.is_glob:
        return matches(item.path, path)
    return path.startswith(item.path) if item.path.endswith("/") else path == item.path


def _essence(task: Task) -> Task:
    """Leave out what decides no result."""
    return replace(task, policy=Policy(), tags=frozenset(), description="", line=0)
