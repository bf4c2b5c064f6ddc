"""Families whose instances tasks make: expand those that can be known, until no other can."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from nbmake_dag.core.decide import Rules
from nbmake_dag.core.facts import Facts, Result, result_of
from nbmake_dag.core.graph import Graph, build_graph
from nbmake_dag.core.model import Input, ProjectPath, TaskName
from nbmake_dag.core.plan import plan
from nbmake_dag.core.targets import matched
from nbmake_dag.engine.look import Look
from nbmake_dag.engine.selection import selected
from nbmake_dag.engine.state.lost_artifacts import without_lost_artifacts
from nbmake_dag.engine.unknown_families import Made, awaiting, steady_results
from nbmake_dag.errors import ConfigError


class KnownFamilies:
    """Lets a look know more and more families; ``gone`` are files that the build has moved away."""

    def __init__(self, look: Look, gone: Iterable[str] = ()) -> None:
        self._look = look
        self._gone = frozenset(gone)
        self._used: dict[str, frozenset[TaskName]] = {}

    def find_known(
        self,
        results_of: Callable[[frozenset[TaskName]], Mapping[TaskName, Result]],
        late: Collection[str] = (),
        family: TaskName | None = None,
    ) -> None:
        """Expand all families that can be known, until no other can; ``late`` names what is not to be known.

        One that cannot be expanded stays unknown: it fails when a build comes to it. Raises `ConfigError` if it is
        ``family``, to which a build has come.
        """
        late, wanted = frozenset(late), family and self._look.whole.tasks[family].source
        while waiting := awaiting(self._look.whole, late):
            self._list_files(waiting)
            makers = frozenset[TaskName]().union(*waiting.values())
            results = results_of(makers) if makers else {}
            ready = [source for source, those in waiting.items() if those <= results.keys()]
            if not ready:
                return
            for source in ready:
                try:
                    self._learn(source, results)
                except ConfigError:
                    if source == wanted:
                        raise
                    late |= {source.path}
                else:
                    self._used[source.path] = waiting[source]

    def _learn(self, source: Input, results: Mapping[TaskName, Result]) -> None:
        look = self._look
        reader = Made(look.project, look.stores, look.loaded.sources.data)
        on_disk = functools.partial(self._on_disk, source)
        known = reader.add(look.known, look.whole, source, results, on_disk)
        look.take(look.loaded.pipeline(known))
        look.known = known

    def last_results(self, makers: frozenset[TaskName]) -> Mapping[TaskName, Result]:
        """Return the last results of tasks, whether they still count or not."""
        last = self._look.previous(makers)
        return {name: result_of(record, self._look.whole.tasks[name].parameters) for name, record in last.items()}

    def plan_above(self, makers: frozenset[TaskName]) -> Mapping[TaskName, Result]:
        """Return the results of those tasks that are up to date with all above them, or are left out."""
        look = self._look
        if look.request.only:
            excluded = matched(look.whole, look.request.exclude)
            _, wanted = selected(look.whole, look.request, look.targets, excluded, excluded)
            left_out = self.last_results(makers - wanted)
            return {**left_out, **(self._planned(makers & wanted, wanted) if makers & wanted else {})}
        return self._planned(makers, None)

    def _planned(
        self, makers: frozenset[TaskName], among: frozenset[TaskName] | None
    ) -> Mapping[TaskName, Result]:
        look, above = self._look, frozenset(self._look.whole.with_upstream(makers))
        graph = build_graph(look.pipeline, only=above)
        if among is not None and not above <= among:
            return {}
        survey, rules = look.survey_of(graph, look.inputs(graph, {})), look.rules(graph, look.targets, {})
        try:
            facts = without_lost_artifacts(graph, survey.facts(look.previous(above)), rules, look.stores)
        except ConfigError:
            # it is said where the tasks are wanted
            return {}
        return steady_results(graph, plan(graph, facts, rules))

    def mistaken(self, graph: Graph, facts: Mapping[TaskName, Facts], rules: Rules) -> frozenset[str]:
        """Return what was taken as known from results that do not count after all."""
        if not self._used:
            return frozenset()
        steady = steady_results(graph, plan(graph, facts, rules))
        there = graph.tasks.keys()
        return frozenset(path for path, makers in self._used.items() if not makers & there <= steady.keys())

    def _list_files(self, sources: Iterable[Input]) -> None:
        """List files on disk once: what is made later is known from results."""
        loaded = self._look.loaded
        for source in sources:
            if source.is_glob and source.path not in loaded.listed:
                loaded.listed[source.path] = loaded.sources.data.matching(source.path, self._look.ignore)

    def _on_disk(self, source: Input) -> Iterator[ProjectPath]:
        files = [path for path in self._look.loaded.listed[source.path] if path not in self._gone]
        if any(self._look.whole.owner_of(path) is None for path in files):
            leaving = self._look.leftovers().digests
            yield from (path for path in files if path not in leaving)
