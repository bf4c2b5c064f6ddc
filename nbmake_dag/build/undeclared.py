"""What a task used and does not declare: what is said of it, and where it is a failure."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from nbmake_dag.core.globs import matches
from nbmake_dag.core.model import Notebook, Task
from nbmake_dag.execute.protocol import AttemptResult, Failure
from nbmake_dag.observe.project import Project
from nbmake_dag_cache.cells import executable
from nbmake_dag_cache.notebook import UnreadableNotebookError, read_notebook
from nbmake_dag_cache.record import Access

_ABSENT = re.compile(r"No such file|No module named|[Nn]ot found|does not exist|[Cc]annot (?:open|access)")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_WORD = re.compile(r"[^\s'\"`:,;()\[\]{}<>]+")


def undeclared(task: Task, accesses: Iterable[Access]) -> tuple[Access, ...]:
    """Return the accesses to files that are neither inputs nor outputs of a task, nor its own notebook."""
    return tuple(sorted((access for access in accesses if not _declared(task, access)), key=_by_path))


def declarations(found: Iterable[Access]) -> str:
    """Say undeclared accesses as the lines that declare them."""
    return f"it used files that it does not declare; add {_lines(found)}"


def judged(task: Task, result: AttemptResult, project: Project, sees: frozenset[str]) -> AttemptResult:
    """Fail an attempt that used what its task does not declare, where that is forbidden, or could not be had."""
    if result.sandboxed and result.outcome in {"succeeded", "failed"}:
        missed = sorted(_missed(task, result, project, sees), key=_by_path)
        if missed:
            names = ", ".join(access.path for access in missed)
            are = "is" if len(missed) == 1 else "are"
            message = f"{names} {are} not declared as input of {task.name}: add {_lines(missed)}"
            failure = result.failure or Failure(type="", message="")
            failure = replace(failure, type="UndeclaredAccess", message=message)
            return replace(result, outcome="failed", failure=failure)
    found = undeclared(task, result.accesses)
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
    """Yield what may be a path in the lines of a failure that say that something is absent."""
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
            source = read_notebook(file.read(), task.work.path)
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


def _lines(found: Iterable[Access]) -> str:
    found = tuple(found)
    reads = [access.path for access in found if access.mode == "read"]
    writes = [access.path for access in found if access.mode == "write"]
    lines = [f"{key} += {json.dumps(paths)}" for key, paths in (("inputs", reads), ("outputs", writes)) if paths]
    return ", ".join(lines)


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
