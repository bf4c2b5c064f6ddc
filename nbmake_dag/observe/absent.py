"""What is probably a mistake, though a build can go on: missing packages and files, scripts that no key covers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from nbmake_dag.core.facts import Facts
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Pipeline, TaskName
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.arguments import SUFFIXES
from nbmake_dag.observe.interpreters import normalised
from nbmake_dag.observe.project import Project, nearby
from nbmake_dag.observe.survey import Survey
from nbmake_dag_cache.started import UNKNOWN


def absent(project: Project, pipeline: Pipeline, graph: Graph, survey: Survey) -> Iterator[Complaint]:
    """Complain about declared packages that no task's interpreter has, and input globs and folders without a file.

    A folder that is there may be empty.
    """
    config, tasks = os.path.basename(project.config), graph.tasks.values()
    for package in pipeline.software.packages if tasks else ():
        if not any(normalised(package) in survey.packages(task) for task in tasks):
            installed = {name for task in tasks for name in survey.packages(task)}
            yield Complaint(
                what=f"package `{package}` of `[software]` is not installed",
                place=config,
                hint=did_you_mean(normalised(package), sorted(installed)),
            )
    said: set[str] = set()
    for name in graph.order:
        if any(graph.tasks[other].is_unknown for other in graph.upstream[name]):
            # nobody can tell yet
            continue
        made = {edge.input for edge in graph.edges[name]}
        for item in graph.external[name]:
            folder = item.path.rstrip("/")
            is_gone = item.path != folder and not os.path.isdir(project.absolute(folder))
            is_expected = (item.is_glob or is_gone) and not item.optional and item not in made
            if is_expected and item.path not in said and not survey.files(item):
                said.add(item.path)
                yield Complaint(
                    what=f"input `{item.path}` of task `{name}` "
                    + ("matches no file" if item.is_glob else "does not exist"),
                    place=graph.tasks[name].place_of("inputs"),
                    hint="" if item.is_glob else did_you_mean(folder, nearby(project.root, folder)),
                )


def uncovered_starts(graph: Graph, survey: Survey, facts: Mapping[TaskName, Facts]) -> Iterator[Complaint]:
    """Complain about what tasks start by computed names, so that no edit of it makes them run.

    A task that declares a script among its inputs has covered it.
    """
    for name in graph.order:
        task = graph.tasks[name]
        previous = facts[name].previous
        traced = [path for kind, path in previous.trace if kind == "module"] if previous else []
        shell = [path for path in traced if path.endswith(SUFFIXES) and not path.endswith(".py")]
        commands = [
            *survey.reach.of(task).unknown,
            *(command for path in shell for command in survey.reach.of_script(path, task).unknown),
        ]
        if not commands or any(_is_code(path) for item in task.inputs for path, _ in survey.files(item)):
            continue
        more = f", and {len(commands) - 1} more" if len(commands) > 1 else ""
        shown = commands[0].replace(UNKNOWN, "\N{HORIZONTAL ELLIPSIS}")
        yield Complaint(
            what=f"task `{name}` starts a script by a computed name (`{shown}`{more})",
            place=task.place_of(task.type),
            hint="an edit of it does not make the task run: add it to `inputs`",
        )


def _is_code(path: str) -> bool:
    return path.endswith(SUFFIXES)
