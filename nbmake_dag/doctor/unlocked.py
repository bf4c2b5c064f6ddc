"""What code imports, and the lock file of its environment does not have."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from glob import escape, glob
from importlib.metadata import packages_distributions

from nbmake_dag.core.model import Notebook, Task, TaskName
from nbmake_dag.engine.dispatch.attempt_specs import environment_of
from nbmake_dag.engine.prepare import Prepared
from nbmake_dag.errors import Complaint
from nbmake_dag.execute.environments.store import Place
from nbmake_dag.observe.environments import Environment
from nbmake_dag.observe.interpreters import normalised
from nbmake_dag_cache.imports import Imports, imports_of


def unlocked(prepared: Prepared, names: Iterable[TaskName]) -> Iterator[Complaint]:
    """Complain about imports of tasks that are certain to fail in their environment.

    What a package is imported as is known of an environment that was made, and of what nbdag itself has.
    """
    elsewhere = packages_distributions()
    for name in sorted(names):
        task = prepared.graph.tasks[name]
        environment = prepared.survey.environment(task)
        if environment is None or task.environment is None or task.is_unknown:
            continue
        there = _modules_of(prepared, task)
        for module in sorted(_imported(prepared, task)):
            known = _is_locked(module, environment, elsewhere) if there is None else module in there
            if known is False:
                yield Complaint(
                    what=f"task `{name}` imports `{module}`, which is not in {task.environment.lock}",
                    place=task.place_of("environment"),
                    hint="add its package, and lock again",
                )


def _is_locked(module: str, environment: Environment, elsewhere: Mapping[str, list[str]]) -> bool | None:
    """Return whether a lock file has what a module belongs to, going by names; ``None`` where nobody knows."""
    versions = environment.versions
    if normalised(module) in versions:
        return True
    owners = elsewhere.get(module)
    return any(normalised(owner) in versions for owner in owners) if owners else None


def _modules_of(prepared: Prepared, task: Task) -> frozenset[str] | None:
    """Return the names of the modules that an environment has; ``None`` before it was made."""
    spec = environment_of(task, prepared.survey)
    if spec is None or not os.path.isdir(place := Place.of(spec).path):
        return None
    folders = glob(os.path.join(escape(place), "lib", "python*", "site-packages"))
    return frozenset(entry.partition(".")[0] for folder in folders for entry in os.listdir(folder))


def _imported(prepared: Prepared, task: Task) -> set[str]:
    """Return the modules that a task's code names, and that are neither Python's nor of the repository."""
    survey = prepared.survey
    found: list[Imports] = [survey.notebook(task.work).imports] if isinstance(task.work, Notebook) else []
    paths = [path for path in survey.reach.of(task).paths if path.endswith(".py")]
    for path in paths:
        with open(path, "rb") as file:
            found.append(imports_of(file.read()))
    local = {part for path in paths for part in os.path.splitext(path)[0].split(os.sep)}
    named = {each.module.partition(".")[0] for imports in found for each in imports.modules if not each.level}
    return named - sys.stdlib_module_names - local - {"", "nbmake_dag"}
