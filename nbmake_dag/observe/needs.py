"""What tasks need before they can begin, and is not there: kernels, environments, sources and inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import assert_never

import msgspec

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Command, Function, Input, Notebook, TaskName
from nbmake_dag.core.suggest import did_you_mean
from nbmake_dag.core.text import encodable
from nbmake_dag.core.urls import scrubbed
from nbmake_dag.errors import Complaint
from nbmake_dag.observe.environments import Environments
from nbmake_dag.observe.inputs import FileNameError, Inputs
from nbmake_dag.observe.kernels import Kernels, missing_kernels
from nbmake_dag.observe.project import Project, nearby
from nbmake_dag.observe.sources import Sources


class Needs(msgspec.Struct, frozen=True):
    """What the tasks of one graph need."""

    project: Project
    graph: Graph
    sources: Sources
    kernels: Kernels
    environments: Environments
    inputs: Inputs

    def missing(self) -> list[tuple[TaskName, Complaint]]:
        """Complain about each task whose source, kernel, environment or input is not there."""
        return [
            *self._unread_sources(),
            *missing_kernels(self.graph.tasks.values(), self.sources, self.kernels).items(),
            *self.environments.unusable(self.graph.tasks.values()).items(),
            *self._of_other_languages(),
            *self._missing_inputs(),
        ]

    def unreadable(self) -> list[Complaint]:
        """Complain about each input that this user may not read, or that has no name in a record."""
        complaints: list[Complaint] = []
        for name, item in self._external():
            try:
                self.inputs.files(item)
            except (PermissionError, FileNameError) as error:
                found = encodable(os.path.relpath(error.filename, self.project.root))
                change = "let this user read it" if isinstance(error, PermissionError) else "rename it"
                which = "" if found == item.path.rstrip("/") else f" ({found})"
                complaints.append(
                    Complaint(
                        what=f"input `{item.path}` of task `{name}` cannot be read: {error.strerror}{which}",
                        place=self._place_of_inputs(name),
                        hint=f"{change}, or leave it out with `ignore` of [pipeline]",
                    )
                )
        return complaints

    def _unread_sources(self) -> Iterator[tuple[TaskName, Complaint]]:
        unread = self.sources.unread or {}
        for name, task in self.graph.tasks.items():
            match task.work:
                case Notebook(path=path, paired=paired):
                    complaint = unread.get(path) or unread.get(paired or "")
                case Function(module=module, qualname=qualname):
                    complaint = unread.get(f"{module}:{qualname}")
                case Command():
                    complaint = None
                case _:
                    assert_never(task.work)
            if complaint:
                yield name, complaint

    def _of_other_languages(self) -> Iterator[tuple[TaskName, Complaint]]:
        for name, task in self.graph.tasks.items():
            if task.environment is None or not isinstance(task.work, Notebook):
                continue
            language = self.sources.notebook(task.work.path, form=task.work.form).identity.language
            if language != "python":
                written = f"{task.work.path} is written in {language}"
                yield (
                    name,
                    Complaint(
                        what=f"environment `{task.environment.name}` is one of Python, and {written}",
                        place=task.place_of("environment"),
                        hint="name a kernel instead: `kernel = ...`",
                    ),
                )

    def _missing_inputs(self) -> Iterator[tuple[TaskName, Complaint]]:
        return (
            (name, self._of_missing(name, item))
            for name, item in self._external()
            if not item.is_glob
            and not item.optional
            and not self.inputs.files(item)
            and not item.path.endswith("/")
            and not os.path.isdir(self.project.absolute(item.path))
        )

    def _of_missing(self, name: TaskName, item: Input) -> Complaint:
        place, given = self._place_of_inputs(name), self.project.absolute(item.path)
        if item.remote is not None:
            why = self.inputs.copies.failed[item.remote.key]
            what = f"input `{scrubbed(item.remote.url)}` of task `{name}` cannot be fetched: {why}"
            return Complaint(what=what, place=place)
        if os.path.islink(given):
            what = f"is a link to `{encodable(os.readlink(given))}`, which leads to no file"
            hint = "fetch the file that it stands for, or mend the link"
        elif os.path.lexists(given):
            what, hint = "is neither a file nor a folder", "name a file that can be read twice"
        else:
            what = "does not exist, and no task makes it"
            hint = (
                did_you_mean(item.path, (*nearby(self.project.root, item.path), *self.graph.owners))
                or "check the path, or add it to the outputs of the task that makes it"
            )
        return Complaint(what=f"input `{item.path}` of task `{name}` {what}", place=place, hint=hint)

    def _external(self) -> Iterator[tuple[TaskName, Input]]:
        return ((name, item) for name in self.graph.order for item in self.graph.external[name])

    def _place_of_inputs(self, name: TaskName) -> str:
        return self.graph.tasks[name].place_of("inputs")
