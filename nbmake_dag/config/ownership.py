"""Checks of written paths: no two tasks write the same path, into another's folder, or over an input."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from nbmake_dag.config.complaints import Complaints
from nbmake_dag.config.paths import folded
from nbmake_dag.core.globs import matches
from nbmake_dag.core.model import Input, Notebook, ProjectPath, Task


class Write(NamedTuple):
    """A path that a task writes, and the key that declares it."""

    task: Task
    path: ProjectPath
    folded: str
    key: str
    label: str | None

    @property
    def place(self) -> tuple[str, ...]:
        return ("tasks", self.task.family, self.key, *([] if self.label is None else [self.label]))


def check_writes(tasks: Collection[Task], files: Collection[str], complaints: Complaints) -> None:
    """Complain about tasks that write the same, each pair once, or that write over what is read."""
    writes = [write for task in tasks for write in _writes(task)]
    quarrels: set[tuple[str, str]] = set()

    def quarrel(write: Write, other: Write, where: str, hint: str) -> None:
        pair = (write.task.family, other.task.family)
        if pair not in quarrels:
            quarrels.add(pair)
            itself = other.task is write.task
            whom = "itself" if itself else f"`{other.task.name}` ({complaints.place(other.place)})"
            complaints.add(write.place, f"`{write.task.name}` writes `{write.path}`, {where} {whom}", hint)

    owners: dict[str, int] = {}
    for number, write in enumerate(writes):
        owner = owners.setdefault(write.folded, number)
        if owner != number:
            quarrel(write, writes[owner], "which is also written by", _reason(write, writes[owner]))
    for write in writes:
        for folder in _folders(write.folded):
            if folder in owners:
                other = writes[owners[folder]]
                where = f"inside of `{other.path}`, which is written by"
                quarrel(write, other, where, "give each its own folder")
    _check_sources(writes, [folded(file) for file in files], complaints)
    _check_copies(tasks, complaints)


def _check_sources(writes: list[Write], files: list[str], complaints: Complaints) -> None:
    for write in writes:
        what = f"`{write.task.name}` writes `{write.path}`"
        if write.folded in files:
            complaints.add(write.place, f"{what}, which declares the pipeline")
        elif any(file.startswith(f"{write.folded}/") for file in files):
            complaints.add(write.place, f"{what}, where a part of the pipeline is")
        if any(folded(item.path) == write.folded for item in write.task.inputs):
            complaints.add(write.place, f"{what}, which is an input of it", "write the changed data elsewhere")
        work = write.task.work
        if isinstance(work, Notebook) and f"{folded(work.path)}/".startswith(f"{write.folded}/"):
            complaints.add(write.place, f"{what}, where its notebook is")


def _check_copies(tasks: Collection[Task], complaints: Complaints) -> None:
    copies = [task.policy.notebook_output for task in tasks if task.policy.notebook_output is not None]
    if not copies:
        return
    for task in tasks:
        for item in task.inputs:
            if any(_matches(item, copy) for copy in copies):
                what = f"`{task.name}` reads `{item.path}`, a copy of an executed notebook"
                hint = "such copies have times in them, so tasks that read them would never be up to date"
                hint += " (`nbdag help books`)"
                complaints.add(("tasks", task.family, "inputs"), what, hint)


def _matches(item: Input, path: ProjectPath) -> bool:
    return matches(item.path, path) if item.is_glob else folded(item.path) == folded(path)


def _reason(write: Write, other: Write) -> str:
    if write.path != other.path:
        return f"it is declared as `{other.path}` there, and some file systems do not distinguish the two"
    if other.task is not write.task and other.task.family == write.task.family:
        return "put a parameter of the matrix in the path"
    return ""


def _writes(task: Task) -> Iterator[Write]:
    for output in task.outputs:
        yield Write(task, output.path, folded(output.path), "outputs", output.name)
    if (copy := task.policy.notebook_output) is not None:
        yield Write(task, copy, folded(copy), "notebook_output", None)


def _folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
