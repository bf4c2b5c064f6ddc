"""Outputs that other tasks name by another path, which a link leads to: the graph would have no edge for them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from msgspec.structs import replace

from nbmake_dag.core.globs import escaped, static_prefix
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import Input, Pipeline, ProjectPath, Task, TaskName
from nbmake_dag.errors import Complaint, ConfigError
from nbmake_dag.observe.project import Project


def refuse_aliases(project: Project, pipeline: Pipeline, graph: Graph) -> None:
    """Raise `ConfigError` for outputs at the same place, and for inputs that are an output by another name.

    ``graph`` has all tasks of ``pipeline``.
    """
    places = _Places(project)
    if not places.any_links(graph):
        return
    tasks = {name: places.placed(task, graph) for name, task in pipeline.tasks.items()}
    complaints = tuple(_same_outputs(pipeline, tasks))
    if not complaints:
        really = build_graph(replace(pipeline, tasks=tasks))
        complaints = tuple(_other_names(graph, really, places))
    if complaints:
        raise ConfigError(complaints)


def _same_outputs(pipeline: Pipeline, tasks: dict[TaskName, Task]) -> Iterator[Complaint]:
    owners: dict[str, tuple[Task, ProjectPath]] = {}
    for name, task in pipeline.tasks.items():
        for output, placed in () if task.is_unknown else zip(task.outputs, tasks[name].outputs, strict=True):
            other, path = owners.setdefault(placed.path.rstrip("/"), (task, output.path))
            if (other, path) != (task, output.path):
                what = f"output `{output.path}` of task `{name}` is output `{path}` of task `{other.name}`"
                yield Complaint(
                    what=f"{what}: a link leads there", place=task.place_of("outputs"), hint="give each its own"
                )


def _other_names(graph: Graph, really: Graph, places: _Places) -> Iterator[Complaint]:
    for name, task in graph.tasks.items():
        known = {(edge.producer, places.place(edge.output)) for edge in graph.edges[name]}
        for item, placed in zip(task.inputs, really.tasks[name].inputs, strict=True):
            unknown = (edge for edge in really.edges[name] if edge.input == placed)
            for edge in unknown:
                if (edge.producer, edge.output) not in known:
                    maker = graph.tasks[edge.producer]
                    path = next(each.path for each in maker.outputs if places.place(each.path) == edge.output)
                    what = f"input `{item.path}` of task `{name}` leads by a link to what `{maker.name}` makes"
                    hint = f"name it as that does: `{path}`"
                    yield Complaint(what=what, place=task.place_of("inputs"), hint=hint)
                    break


class _Places:
    """Where paths of a project really lead; a link that is an output itself leads nowhere else."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._root = os.path.realpath(project.root)
        self._folders: dict[str, str] = {"": ""}
        self._has_links = False

    def any_links(self, graph: Graph) -> bool:
        """Return whether a link leads to anything that a task names; most projects have none."""
        paths = {item.path for task in graph.tasks.values() for item in task.inputs}
        paths.update(output.path for task in graph.tasks.values() for output in task.outputs)
        for folder in {path.rstrip("/").rpartition("/")[0] for path in paths}:
            self._folder(folder)
        for path in {item.path for items in graph.external.values() for item in items}:
            self._followed(path)
        return self._has_links

    def placed(self, task: Task, graph: Graph) -> Task:
        """Return a task with the paths of its files as they are without links."""
        inputs = tuple(self._placed_input(item, graph) for item in task.inputs)
        outputs = tuple(
            replace(each, path=place) if (place := self.place(each.path)) != each.path else each
            for each in task.outputs
        )
        is_same = (inputs, outputs) == (task.inputs, task.outputs)
        return task if is_same else replace(task, inputs=inputs, outputs=outputs)

    def place(self, path: str) -> ProjectPath:
        """Return where a path leads, but for a link that it is itself."""
        bare = path.rstrip("/")
        above, name = os.path.split(bare)
        folder = self._folder(above)
        return ProjectPath(path if folder == above else os.path.join(folder, name) + path[len(bare) :])

    def _placed_input(self, item: Input, graph: Graph) -> Input:
        if item.is_glob:
            prefix = static_prefix(item.path)
            folder = self._folder(prefix.rstrip("/"))
            path = str(item.path)
            if folder != prefix.rstrip("/"):
                path = os.path.join(escaped(folder), item.path[len(prefix) :])
        elif graph.owner_of(item.path) is None:
            path = self._followed(self.place(item.path))
        else:
            path = self.place(item.path)
        return item if path == item.path else replace(item, path=ProjectPath(path))

    def _folder(self, path: str) -> str:
        """Return where a folder really is, relative to the project."""
        below: list[str] = []
        while path.strip("/") and path not in self._folders:
            below.append(path)
            path = os.path.dirname(path)
        found = self._folders.get(path, path)
        for folder in reversed(below):
            found = self._followed(os.path.join(found, os.path.basename(folder)))
            self._folders[folder] = found = "" if found == os.curdir else found
        return found

    def _followed(self, path: str) -> str:
        bare = path.rstrip("/")
        absolute = self._project.absolute(bare)
        if not os.path.islink(absolute):
            return path
        self._has_links = True
        return os.path.relpath(os.path.realpath(absolute), self._root) + path[len(bare) :]
