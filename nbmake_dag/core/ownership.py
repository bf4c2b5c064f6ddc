"""Who writes what: no two tasks the same path, none into another's folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nbmake_dag.core.complaints import Complaints
from nbmake_dag.core.model import Notebook, ProjectPath, Task
from nbmake_dag.core.paths import identity


def check_writes(tasks: Iterable[Task], complaints: Complaints) -> None:
    """Complain about paths that are written twice, or that a task would lose its own source or input to."""
    owners: dict[str, tuple[Task, ProjectPath]] = {}
    quarrels: set[tuple[str, str]] = set()

    def quarrel(task: Task, path: ProjectPath, other: Task, verb: str, hint: str) -> None:
        if (task.family, other.family) not in quarrels:
            quarrels.add((task.family, other.family))
            whom = "itself" if other is task else f"`{other.name}` ({_place(other, complaints)})"
            complaints.add(_key(task, path), f"`{task.name}` writes `{path}`, {verb} {whom}", hint)

    for task in tasks:
        for path in _written(task):
            own = identity(path)
            if own in owners:
                other, theirs = owners[own]
                same = "" if theirs == path else f" as `{theirs}`, which some file systems do not tell apart"
                hint = (
                    "put a parameter of the matrix in the path" if task.family == other.family != task.name else ""
                )
                quarrel(task, path, other, "which is also written by", hint or same.strip())
            else:
                owners[own] = (task, path)
        _check_sources(task, complaints)
    for task, path in list(owners.values()):
        for folder in _folders(identity(path)):
            if folder in owners:
                other, theirs = owners[folder]
                verb = f"inside of `{theirs}`, which is written by"
                quarrel(task, path, other, verb, "give each its own folder")


def _check_sources(task: Task, complaints: Complaints) -> None:
    sources = {identity(item.path): "an input" for item in task.inputs if not item.is_glob}
    if isinstance(task.work, Notebook):
        sources[identity(task.work.path)] = "the notebook"
    for path in _written(task):
        for place in (identity(path), *_folders(identity(path))):
            if place in sources and (place == identity(path) or sources[place] == "the notebook"):
                complaints.add(_key(task, path), f"`{task.name}` writes `{path}`, which is {sources[place]} of it")


def _written(task: Task) -> Iterator[ProjectPath]:
    for output in task.outputs:
        yield output.path
    if task.policy.notebook_output is not None:
        yield task.policy.notebook_output


def _key(task: Task, path: ProjectPath) -> tuple[str, ...]:
    if path == task.policy.notebook_output:
        return ("tasks", task.family, "notebook_output")
    name = next(output.name for output in task.outputs if output.path == path)
    return ("tasks", task.family, "outputs", *([] if name is None else [name]))


def _place(task: Task, complaints: Complaints) -> str:
    return complaints.place(("tasks", task.family, "outputs"))


def _folders(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
