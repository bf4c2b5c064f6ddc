"""Who writes what: no two tasks the same path, none into another's folder, none over what it reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from nbmake_dag.core.complaints import Complaints
from nbmake_dag.core.model import Notebook, ProjectPath, Task
from nbmake_dag.core.paths import identity


class Write(NamedTuple):
    """A path that a task writes, and the key that says so."""

    task: Task
    path: ProjectPath
    identity: str
    key: str
    label: str | None

    @property
    def place(self) -> tuple[str, ...]:
        return ("tasks", self.task.family, self.key, *([] if self.label is None else [self.label]))


def check_writes(tasks: Collection[Task], file: str, complaints: Complaints) -> None:
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
        owner = owners.setdefault(write.identity, number)
        if owner != number:
            quarrel(write, writes[owner], "which is also written by", _reason(write, writes[owner]))
    for write in writes:
        for folder in _folders(write.identity):
            if folder in owners:
                other = writes[owners[folder]]
                where = f"inside of `{other.path}`, which is written by"
                quarrel(write, other, where, "give each its own folder")
    _check_sources(writes, identity(file.rpartition("/")[2]), complaints)
    _check_copies(tasks, complaints)


def _check_sources(writes: list[Write], file: str, complaints: Complaints) -> None:
    for write in writes:
        what = f"`{write.task.name}` writes `{write.path}`"
        if write.identity == file:
            complaints.add(write.place, f"{what}, which declares the pipeline")
        if any(identity(item.path) == write.identity for item in write.task.inputs):
            complaints.add(write.place, f"{what}, which is an input of it", "write the changed data elsewhere")
        work = write.task.work
        if isinstance(work, Notebook) and f"{identity(work.path)}/".startswith(f"{write.identity}/"):
            complaints.add(write.place, f"{what}, where its notebook is")


def _check_copies(tasks: Collection[Task], complaints: Complaints) -> None:
    copies = {identity(task.policy.notebook_output) for task in tasks if task.policy.notebook_output is not None}
    if not copies:
        return
    for task in tasks:
        for item in task.inputs:
            if identity(item.path) in copies:
                what = f"`{task.name}` reads `{item.path}`, a copy of an executed notebook"
                hint = "such copies hold times, so that nothing after them would ever be up to date"
                complaints.add(("tasks", task.family, "inputs"), what, hint)


def _reason(write: Write, other: Write) -> str:
    if write.path != other.path:
        return f"it is declared as `{other.path}` there, and some file systems do not tell the two apart"
    if other.task is not write.task and other.task.family == write.task.family:
        return "put a parameter of the matrix in the path"
    return ""


def _writes(task: Task) -> Iterator[Write]:
    for output in task.outputs:
        yield Write(task, output.path, identity(output.path), "outputs", output.name)
    if (copy := task.policy.notebook_output) is not None:
        yield Write(task, copy, identity(copy), "notebook_output", None)


def _folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
