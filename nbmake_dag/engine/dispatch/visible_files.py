"""The files that a task sees in a private copy of the repository: its source, the modules it loads, its inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from nbmake_dag.core.facts import ABSENT, Facts, Result
from nbmake_dag.core.graph import input_files
from nbmake_dag.core.model import Input, Notebook, Task, TaskName
from nbmake_dag.observe.survey import Survey


def seen_paths(task: Task, survey: Survey, facts: Facts, results: Mapping[TaskName, Result]) -> frozenset[str]:
    """Return all files, relative to the root; a folder that may be empty ends with a slash.

    Modules are those that reading the code finds, and those that earlier executions were seen to load.
    """
    paths = {item.name for item in facts.own if item.kind == "module" and item.value != ABSENT}
    paths |= {path for path, digest in facts.modules.items() if digest != ABSENT and not path.endswith("/")}
    if isinstance(task.work, Notebook):
        paths.add(task.work.path)
    for item in task.inputs:
        if item.remote is not None and not item.remote.fetch:
            continue
        for path in files_of_input(item, task, survey, results):
            paths |= set(_files_below(path, survey))
        if not item.is_glob and item.path.endswith("/") and not is_absent(item, task, survey, results):
            paths.add(item.path)
        for edge in survey.graph.edges[task.name]:
            output = results[edge.producer].outputs.get(edge.output) if edge.input == item else None
            paths |= {folder for folder in (output.folders if output else ()) if folder.startswith(item.path)}
    return frozenset(paths)


def files_of_input(item: Input, task: Task, survey: Survey, results: Mapping[TaskName, Result]) -> Iterator[str]:
    """Yield the files that an input names: those that tasks above made, and those on disk that no task owns."""
    for edge in survey.graph.edges[task.name]:
        output = results[edge.producer].outputs.get(edge.output) if edge.input == item else None
        if output is not None:
            yield from input_files(item, (file.path for file in output.files))
    yield from (path for path, _ in survey.files(item))


def is_absent(item: Input, task: Task, survey: Survey, results: Mapping[TaskName, Result]) -> bool:
    """Return whether an optional path is not there, and nothing below it; a glob is a list, if an empty one."""
    if item.is_glob or not item.optional or any(files_of_input(item, task, survey, results)):
        return False
    made = [edge.output for edge in survey.graph.edges[task.name] if edge.input == item]
    return not any(output.startswith(item.path) for output in made) if made else not survey.is_folder(item)


def _files_below(path: str, survey: Survey) -> Iterator[str]:
    """Yield a path, or the files below it where it is a folder."""
    absolute = survey.project.absolute(path)
    if not os.path.isdir(absolute):
        yield path
    for folder, _, names in os.walk(absolute):
        yield from (survey.project.relative(os.path.join(folder, name)) for name in names)
