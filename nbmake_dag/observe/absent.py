"""What a pipeline names and a build can do without, but seldom means to."""

from __future__ import annotations

import os
from collections.abc import Iterator

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Pipeline
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.interpreters import normalised
from nbmake_dag.observe.project import Project
from nbmake_dag.observe.survey import Survey


def absent(project: Project, pipeline: Pipeline, graph: Graph, survey: Survey) -> Iterator[Complaint]:
    """Complain about declared packages that no task's interpreter has, and input globs that match nothing."""
    config, tasks = os.path.basename(project.config), graph.tasks.values()
    for package in pipeline.environment.packages if tasks else ():
        if not any(normalised(package) in survey.packages(task) for task in tasks):
            installed = {name for task in tasks for name in survey.packages(task)}
            yield Complaint(
                what=f"package `{package}` of `[environment]` is not installed",
                place=config,
                hint=did_you_mean(normalised(package), sorted(installed)),
            )
    said: set[str] = set()
    for name in graph.order:
        made = {edge.input for edge in graph.edges[name]}
        for item in graph.external[name]:
            if item.is_glob and item not in made and item.path not in said and not survey.files(item):
                said.add(item.path)
                yield Complaint(
                    what=f"input `{item.path}` of task `{name}` matches no file",
                    place=f"{config}:{graph.tasks[name].line}",
                )
