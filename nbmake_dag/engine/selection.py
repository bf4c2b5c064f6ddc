"""The tasks that a request selects, and what is special about them."""

from __future__ import annotations

import os

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.targets import checks_in, with_checks
from nbmake_dag.engine.request import Request
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.survey import Survey


def selected(
    whole: Graph,
    request: Request,
    targets: frozenset[TaskName],
    excluded: frozenset[TaskName],
    barred: frozenset[TaskName],
) -> tuple[frozenset[TaskName], frozenset[TaskName]]:
    """Return the targets, and with them the tasks below that are asked for, and the checks of all that is built.

    No check is added that is ``barred``; raises `UsageError` where checks are asked for, and there are none.
    """
    is_chosen = bool(request.targets or request.tags or request.affected is not None)
    if request.accept:
        # nothing is tested
        barred = frozenset(whole.order)
        targets = targets if is_chosen else targets - checks_in(whole)
    if request.trial is not None:
        # it asks for what it names
        barred = frozenset(whole.order)
    wanted = frozenset(whole.with_downstream(targets)) - excluded if request.downstream else targets
    named = targets if is_chosen else frozenset[TaskName]()
    wanted = with_checks(whole, wanted, named=named, barred=barred, alone=request.only)
    if not request.checks:
        return targets, wanted
    checks = wanted & checks_in(whole)
    if not checks and request.affected is None:
        raise UsageError("there are no checks here", (), "a check is a task with `check = true`")
    return checks, checks


def refusal_of_code(target: str, survey: Survey) -> UsageError | None:
    """Return what to do instead where a target is the path of a module or a script that tasks use."""
    path = os.path.normpath(target)
    users = [name for name, task in survey.graph.tasks.items() if path in survey.code_of(task)]
    if not users:
        return None
    shown = ", ".join(f"`{name}`" for name in users[:3]) + (", ..." if len(users) > 3 else "")
    hint = f"name what uses it: {shown}; or build what changed with `--affected`"
    return UsageError(f"`{target}` is code, and made by no task", (), hint)


def forced(request: Request, graph: Graph, targets: frozenset[TaskName]) -> frozenset[TaskName]:
    """Return the tasks that run even if they are up to date."""
    if request.force_all:
        return frozenset(graph.order)
    return targets if request.force else frozenset()
