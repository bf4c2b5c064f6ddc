"""The tasks that a change affects: those that are not up to date for a reason that no build has handled yet.

A task that failed stays stale, one with ``cache = false`` always is: at every check they would never
rest. So a task is only built again when something that it depends on changed since it was last built.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.facts import Facts
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Verdict


class Built(msgspec.Struct):
    """The facts that each task was last built on. ``failed`` did not end well then.

    A family that was not known, and what waited for it, have facts of before it was and of after.
    """

    own: dict[TaskName, frozenset[str]] = {}
    modules: dict[str, str] = {}
    failed: set[TaskName] = set()

    def note(
        self,
        names: Collection[TaskName],
        failed: Collection[TaskName],
        began: Mapping[TaskName, Facts],
        ended: Mapping[TaskName, Facts],
    ) -> None:
        """Take in the end of a build of ``names`` that ``began`` on facts, and ``ended`` on those."""
        self.failed = self.failed.difference(names).union(failed)
        for name in (*names, *(began.keys() - ended.keys())):
            facts = [known[name] for known in (began, ended) if name in known]
            self.own[name] = frozenset(map(_own, facts))
            for known in facts:
                self.modules |= known.modules

    def forget(self, names: Collection[TaskName]) -> None:
        """Treat tasks as never built."""
        for name in names:
            self.own.pop(name, None)

    def unchanged(self, graph: Graph, facts: Mapping[TaskName, Facts]) -> set[TaskName]:
        """Return the tasks whose ingredients, and those of all above them, are what they were built on.

        A module that was only seen to be used in that build is taken to be the one that it used.
        """
        changed: list[TaskName] = []
        for name in graph.order:
            modules = facts[name].modules
            if _own(facts[name]) not in self.own.get(name, ()) or any(
                self.modules.get(path, digest) != digest for path, digest in modules.items()
            ):
                changed.append(name)
            else:
                self.modules |= modules
        return set(graph.order).difference(graph.with_downstream(changed))


class Concerned(msgspec.Struct, frozen=True, kw_only=True):
    """What to build. ``hopeless`` tasks would fail as before, or are below such."""

    wanted: frozenset[TaskName]
    hopeless: frozenset[TaskName]


def concerned(
    graph: Graph, facts: Mapping[TaskName, Facts], verdicts: Mapping[TaskName, Verdict], built: Built
) -> Concerned:
    unchanged = built.unchanged(graph, facts)
    hopeless = frozenset(graph.with_downstream(unchanged.intersection(built.failed)))
    wanted = frozenset(
        name
        for name, verdict in verdicts.items()
        if name not in hopeless
        and not isinstance(verdict, UpToDate)
        and (isinstance(verdict, Restorable) or name not in unchanged)
    )
    return Concerned(wanted=wanted, hopeless=hopeless)


def differing(
    graph: Graph, before: Mapping[TaskName, Facts], later: Graph, now: Mapping[TaskName, Facts]
) -> list[TaskName]:
    """Return the tasks whose own ingredients changed, or that are gone.

    Of families that were not known then, or are not now, and of what depends on them, nobody can tell.
    """
    unsettled = {*_unsettled(graph), *_unsettled(later)}
    families = {
        each.tasks[name].family for each in (graph, later) for name in each.tasks if each.tasks[name].is_unknown
    }
    return [
        name
        for name in graph.order
        if name not in unsettled
        and graph.tasks[name].family not in families
        and (name not in now or now[name].own_key != before[name].own_key)
    ]


def _unsettled(graph: Graph) -> tuple[TaskName, ...]:
    return graph.with_downstream(name for name, task in graph.tasks.items() if task.is_unknown)


def _own(facts: Facts) -> str:
    expired = facts.previous.origin.run_id if facts.unusable and facts.previous else ""
    return f"{facts.own_key} {expired}"
