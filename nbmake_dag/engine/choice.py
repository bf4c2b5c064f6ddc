"""The tasks that a build is about: those that are selected, what they need, and what is left out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from nbmake_dag.core.facts import Result, result_of
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import ProjectPath, Task, TaskName
from nbmake_dag.core.targets import matched, refuse_needed
from nbmake_dag.engine.affected import affected_tasks
from nbmake_dag.engine.loading import read_pipeline
from nbmake_dag.engine.look import Look
from nbmake_dag.engine.selection import selected
from nbmake_dag.errors import UsageError
from nbmake_dag_cache.digest import Digest
from nbmake_dag_cache.record import Record


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen among the tasks of ``whole``: ``graph`` has those that are built."""

    whole: Graph
    graph: Graph
    targets: frozenset[TaskName]
    """The tasks that were asked for, without what they need."""
    left_out: frozenset[TaskName] = frozenset()
    """Tasks that are needed, and no part of the build."""
    notes: tuple[str, ...] = ()
    """What a person should know of it."""

    @property
    def all(self) -> frozenset[TaskName]:
        return self.left_out | self.graph.tasks.keys()


def choose(look: Look, leaving: Mapping[ProjectPath, Digest], before: Choice | None) -> Choice:
    """Choose the tasks of a build; of one under way, also those that were not known ``before``.

    Files that are ``leaving`` are taken as gone. Raises `UsageError` for tasks that do not go together.
    """
    request, whole, targets = look.request, look.whole, look.targets
    excluded = barred = matched(whole, request.exclude)
    notes: tuple[str, ...] = ()
    if request.affected is not None and before is not None:
        targets &= before.targets | _instances_of(whole, map(before.whole.tasks.__getitem__, before.targets))
        known = before.graph.tasks.keys() | _instances_of(whole, before.graph.tasks.values())
        barred |= frozenset(whole.order) - known
    elif request.affected is not None:
        found = affected_tasks(
            look.project,
            look.pipeline,
            whole,
            look.survey_of(whole, look.inputs(whole, leaving)),
            base=request.affected,
            environ=look.loaded.interpreters.variables.environ,
            read=lambda data, at: read_pipeline(
                look.project, data, look.loaded.sources, request.overrides, at, look.known
            ),
        )
        targets &= found.tasks
        barred |= frozenset(whole.order) - found.tasks
        notes = found.notes
    targets, wanted = selected(whole, request, targets, excluded, barred)
    needed = frozenset(whole.with_upstream(wanted))
    if not request.only and request.affected is None:
        refuse_needed(whole, excluded, needed)
    left_out = needed - wanted if request.only else frozenset[TaskName]()
    chosen = needed - left_out
    if before is not None:
        chosen |= before.graph.tasks.keys() & whole.tasks.keys()
    graph = whole
    if len(chosen) < len(whole.order):
        graph = build_graph(look.pipeline, only=chosen, whole=whole if left_out else None)
    return Choice(whole=whole, graph=graph, targets=targets, left_out=left_out, notes=notes)


def last_results_of(
    names: frozenset[TaskName], whole: Graph, records: Mapping[TaskName, Record]
) -> dict[TaskName, Result]:
    """Return the results of tasks that are left out; raises `UsageError` for one that has none."""
    if missing := sorted(names - records.keys()):
        raise UsageError(
            f"`{missing[0]}` is needed, and has no result yet",
            (),
            "build it first, or accept its outputs as they are with --accept",
        )
    return {name: result_of(records[name], whole.tasks[name].parameters) for name in names}


def _instances_of(graph: Graph, families: Iterable[Task]) -> frozenset[TaskName]:
    """Return what took the places of families that were not known."""
    names = {task.family for task in families if task.is_unknown}
    return frozenset(name for name, task in graph.tasks.items() if task.family in names)
