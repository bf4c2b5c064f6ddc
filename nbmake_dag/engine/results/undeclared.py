"""Undeclared files that a task used: how they are reported, and when they fail the task."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec.structs import replace

from nbmake_dag.core.globs import escaped, matches
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.execute.protocol import AttemptResult, Failure
from nbmake_dag.observe.project import Project
from nbmake_dag.record.outcome import UndeclaredFile
from nbmake_dag_cache.cells import executable
from nbmake_dag_cache.memo import StatMemo
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_cache.record import Access, Record
from nbmake_dag_reporting.vocabulary import AttemptOutcome

_ABSENT = re.compile(r"No such file|No module named|[Nn]ot found|does not exist|[Cc]annot (?:open|access)")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_FINISHED: frozenset[AttemptOutcome] = frozenset({"succeeded", "failed"})
_WORD = re.compile(r"[^\s'\"`:,;()\[\]{}<>]+")


def undeclared(task: Task, accesses: Iterable[Access], code: Collection[str] = ()) -> tuple[Access, ...]:
    """Return the accesses to files that are neither inputs nor outputs of a task, nor its own notebook.

    Reads of ``code`` are left out: modules and scripts that the task's key covers.
    """
    found = (access for access in accesses if not (access.mode == "read" and access.path in code))
    return tuple(sorted((access for access in found if not _declared(task, access)), key=_by_path))


def declarations(found: Iterable[Access]) -> str:
    """Report undeclared accesses, with what declares them."""
    return f"it used files that it does not declare; add {_additions(found)}"


def undeclared_warning(task: TaskName, found: Iterable[Access]) -> str:
    """Report undeclared accesses of a task that ended well, also with the command that declares what it read."""
    found = tuple(found)
    if not any(access.mode == "read" for access in found):
        return declarations(found)
    return f"{declarations(found)}; `nbdag declare {shlex.quote(task)}` adds what it read"


def undeclared_files(
    project: Project, files: StatMemo, graph: Graph, records: Mapping[TaskName, Record | None]
) -> dict[TaskName, tuple[UndeclaredFile, ...]]:
    """Return the files of results that tasks do not declare now, and whether what was read is as it was."""
    return {
        name: tuple(
            UndeclaredFile(path=access.path, mode=access.mode, changed=_changed(project, files, access))
            for access in found
        )
        for name, record in records.items()
        if record is not None and (found := undeclared(graph.tasks[name], record.undeclared))
    }


def _changed(project: Project, files: StatMemo, access: Access) -> bool:
    if access.xxh3 is None:
        return False
    try:
        return files.digest(project.absolute(access.path)) != access.xxh3
    except OSError:
        return True


def judged(
    task: Task, result: AttemptResult, project: Project, sees: frozenset[str], code: Collection[str]
) -> AttemptResult:
    """Fail an attempt that used undeclared files, where that is forbidden, or where they are not available.

    ``code`` are the modules and scripts that the task's key covers.
    """
    if result.sandboxed and result.outcome in _FINISHED:
        missed = sorted(_missed(task, result, project, sees), key=_by_path)
        if missed:
            names = ", ".join(access.path for access in missed)
            are = "is" if len(missed) == 1 else "are"
            message = f"{names} {are} not declared as input of {task.name}: add {_additions(missed)}"
            failure = result.failure or Failure(type="", message="")
            failure = replace(failure, type="UndeclaredAccess", message=message)
            return replace(result, outcome="failed", failure=failure)
    found = undeclared(task, result.accesses, code)
    if result.outcome != "succeeded" or not found or not (task.policy.strict or task.policy.sandbox):
        return result
    return replace(result, outcome="failed", failure=Failure(type="UndeclaredAccess", message=declarations(found)))


def _missed(task: Task, result: AttemptResult, project: Project, sees: frozenset[str]) -> Iterator[Access]:
    """Yield the files of the workspace that an attempt wanted, and did not find in its private copy."""
    wanted = {*result.missed, *_named_as_absent(task, result.failure, project)}
    if result.failure is not None and result.failure.type == "KeyError":
        wanted |= _default_input(task, result.failure.message, project)
    for path in wanted - sees:
        access = Access(path=path, mode="read")
        if os.path.isfile(project.absolute(path)) and undeclared(task, (access,)):
            yield access


def _named_as_absent(task: Task, failure: Failure | None, project: Project) -> Iterator[str]:
    """Yield possible paths from the lines of a failure that report something as absent."""
    for line in f"{failure.message}\n{failure.traceback}".splitlines() if failure else ():
        if not _ABSENT.search(line):
            continue
        modules = [name.replace(".", "/") for name in _MODULE.findall(line)]
        names = [f"{name}{end}" for name in modules for end in (".py", "/__init__.py")]
        source = os.path.dirname(task.work.path) if isinstance(task.work, Notebook) else ""
        for folder in {"", task.workdir, source}:
            for word in (*_WORD.findall(line), *names):
                path = os.path.normpath(project.absolute(os.path.join(folder, word)))
                if path.startswith(f"{project.repository}/"):
                    yield project.relative(path)


def _default_input(task: Task, key: str, project: Project) -> set[str]:
    """Return the path that a notebook's parameters cell has for a named input, relative to the root.

    What is injected has no names but the declared ones, so that a missing declaration shows as a missing key.
    """
    if not isinstance(task.work, Notebook):
        return set()
    try:
        with open(project.absolute(task.work.path), "rb") as file:
            source = read_notebook(file.read(), task.work.path, task.work.form)
    except (OSError, UnreadableNotebookError):
        # edited while it ran
        return set()
    cell = None if source.parameters_index is None else source.cells[source.parameters_index]
    tree = executable(cell.source).tree if cell else None
    for node in tree.body if tree else ():
        match node:
            case ast.Assign(targets=[ast.Name(id="inputs")], value=ast.Dict() as value):
                with contextlib.suppress(ValueError, KeyError, TypeError, SyntaxError):
                    path = ast.literal_eval(value)[ast.literal_eval(key)]
                    return {os.path.normpath(os.path.join(task.workdir, path))}
            case _:
                pass
    return set()


def _additions(found: Iterable[Access]) -> str:
    found = tuple(found)
    reads = [escaped(access.path) for access in found if access.mode == "read"]
    writes = [escaped(access.path) for access in found if access.mode == "write"]
    named = [("inputs", reads), ("outputs", writes)]
    return " and ".join(f"{json.dumps(paths)[1:-1]} to its `{key}`" for key, paths in named if paths)


def _declared(task: Task, access: Access) -> bool:
    outputs = any(access.path == output.path or _below(access.path, output.path) for output in task.outputs)
    if outputs or access.mode == "write":
        return outputs
    if isinstance(task.work, Notebook) and access.path == task.work.path:
        return True
    return any(
        matches(item.path, access.path)
        if item.is_glob
        else access.path == item.path or _below(access.path, item.path)
        for item in task.inputs
    )


def _below(path: str, folder: str) -> bool:
    return folder.endswith("/") and path.startswith(folder)


def _by_path(access: Access) -> tuple[str, str]:
    return access.path, access.mode
