"""What a task may see in a private copy of the repository: its source, the modules it loads, its inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from nbmake_dag.build.prepare import Prepared
from nbmake_dag.core.facts import ABSENT, Result
from nbmake_dag.core.graph import input_files
from nbmake_dag.core.model import Input, Notebook, Task, TaskName


def seen_paths(task: Task, prepared: Prepared, results: Mapping[TaskName, Result]) -> frozenset[str]:
    """Return all files, relative to the root; a folder that may be empty ends with a slash.

    Modules are those that reading the code finds, and those that earlier executions were seen to load.
    """
    facts = prepared.facts[task.name]
    paths = {item.name for item in facts.own if item.kind == "module" and item.value != ABSENT}
    paths |= {path for path, digest in facts.modules.items() if digest != ABSENT}
    if isinstance(task.work, Notebook):
        paths.add(task.work.path)
    for item in task.inputs:
        for path in files_of_input(item, task, prepared, results):
            paths |= set(_files_below(path, prepared))
        if not item.is_glob and item.path.endswith("/"):
            paths.add(item.path)
    return frozenset(paths)


def files_of_input(
    item: Input, task: Task, prepared: Prepared, results: Mapping[TaskName, Result]
) -> Iterator[str]:
    """Yield the files that an input names: those that tasks above made, and those on disk that no task owns."""
    for edge in prepared.graph.edges[task.name]:
        output = results[edge.producer].outputs.get(edge.output) if edge.input == item else None
        if output is not None:
            yield from input_files(item, (file.path for file in output.files))
    yield from (path for path, _ in prepared.survey.files(item))


def _files_below(path: str, prepared: Prepared) -> Iterator[str]:
    """Yield a path, or the files below it where it is a folder."""
    absolute = prepared.project.absolute(path)
    if not os.path.isdir(absolute):
        yield path
    for folder, _, names in os.walk(absolute):
        yield from (prepared.project.relative(os.path.join(folder, name)) for name in names)
