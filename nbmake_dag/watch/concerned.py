"""The tasks that a change affects: those that are not up to date for a reason that no build has handled yet.

A task that failed stays stale, one with ``cache = false`` always is: at every check they would never
rest. So a task is only built again when something that it depends on changed since it was last built.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nbmake_dag.core.decide import Restorable, UpToDate
from nbmake_dag.core.facts import Facts
from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.core.plan import Verdict


@dataclass(slots=True)
class Built:
    """The facts that each task was last built on. ``failed`` did not end well then."""

    own: dict[TaskName, str] = field(default_factory=dict[TaskName, str])
    modules: dict[str, str] = field(default_factory=dict[str, str])
    failed: set[TaskName] = field(default_factory=set[TaskName])

    def note(
        self, names: Collection[TaskName], failed: Collection[TaskName], facts: Mapping[TaskName, Facts]
    ) -> None:
        """Take in the end of a build of ``names`` that used ``facts``."""
        self.failed = self.failed.difference(names).union(failed)
        for name in names:
            self.own[name] = _own(facts[name])
            self.modules |= facts[name].modules

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
            if self.own.get(name) != _own(facts[name]) or any(
                self.modules.get(path, digest) != digest for path, digest in modules.items()
            ):
                changed.append(name)
            else:
                self.modules |= modules
        return set(graph.order).difference(graph.with_downstream(changed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
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


def differing(graph: Graph, before: Mapping[TaskName, Facts], now: Mapping[TaskName, Facts]) -> list[TaskName]:
    """Return the tasks whose own ingredients changed, or that are gone."""
    return [name for name in graph.order if name not in now or now[name].own_key != before[name].own_key]


def _own(facts: Facts) -> str:
    expired = facts.previous.origin.run_id if facts.unusable and facts.previous else ""
    return f"{facts.own_key} {expired}"
