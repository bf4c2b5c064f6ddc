"""Estimate the remaining time of a run from earlier durations of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName


def expected_durations(graph: Graph, known: Mapping[str, float]) -> dict[TaskName, float]:
    """Return seconds for every task: known, or the mean of its family, or of all; none if none is known."""
    families: dict[str, list[float]] = {}
    for name in graph.order:
        if name in known:
            families.setdefault(graph.tasks[name].family, []).append(known[name])
    if not families:
        return {}
    measured = [seconds for family in families.values() for seconds in family]
    mean = sum(measured) / len(measured)
    means = {family: sum(seconds) / len(seconds) for family, seconds in families.items()}
    return {name: known.get(name, means.get(graph.tasks[name].family, mean)) for name in graph.order}


def remaining(
    graph: Graph,
    durations: Mapping[TaskName, float],
    left: AbstractSet[TaskName],
    ages: Mapping[TaskName, float],
    jobs: int,
    pools: Mapping[str, int],
) -> float:
    """Return the seconds until the tasks ``left`` can have ended, if all of them are executed.

    ``ages`` are the seconds that running tasks have run. No order of execution can be faster than the longest
    chain, nor than the work shared by ``jobs``, nor than that of a pool by its places; a good one is close to the
    longest of these.
    """
    work = 0.0
    shares: dict[str, float] = {}
    longest = 0.0
    ends: dict[TaskName, float] = {}
    for name in graph.order:
        if name in left:
            seconds = max(0.0, durations[name] - ages.get(name, 0.0))
            work += seconds
            for pool, count in graph.tasks[name].policy.pools.items():
                shares[pool] = shares.get(pool, 0.0) + seconds * count / pools[pool]
            end = seconds + max((ends.get(other, 0.0) for other in graph.upstream[name]), default=0.0)
            ends[name] = end
            longest = max(longest, end)
    return max(longest, work / jobs, *shares.values())
