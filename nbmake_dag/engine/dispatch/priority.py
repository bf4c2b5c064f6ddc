"""What is waited for longest among ready tasks, and the decision whether another executor is worth its start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.state.previous_results import ExecutorCosts

HANDED_OVER_S = 0.03
"""What it costs to hand one task to an executor that has to be started, before that was measured here."""
PATIENCE_S = 1.0
"""How long tasks of unknown length are given to turn out short."""


def longest_chains(graph: Graph, durations: Mapping[str, float]) -> dict[TaskName, float]:
    """Return for each task the seconds from its begin to the end of the longest chain below it.

    A task that never ran counts as one second.
    """
    seconds: dict[TaskName, float] = {}
    for name in reversed(graph.order):
        below = max((seconds[other] for other in graph.downstream[name]), default=0.0)
        seconds[name] = durations.get(name, 1.0) + below
    return seconds


def is_worth_its_start(
    costs: ExecutorCosts,
    jobs: int,
    queued: Iterable[TaskName],
    durations: Mapping[str, float],
    seen: Iterable[float],
    waited_s: float,
) -> bool:
    """Return whether tasks that are ready and have no room would be done sooner if an executor were started.

    One of ``jobs`` processors goes on without it, and does meanwhile what is shorter than handing it over;
    ``costs`` are those of its start and of that. ``durations`` are those of earlier runs, ``seen`` those of this
    run, ``waited_s`` is how long one has waited.
    """
    if jobs == 1:
        return False
    seen = tuple(seen)
    typical = max(sum(seen) / len(seen), waited_s / (len(seen) + 1)) if seen else None
    saved = 0.0
    for name in queued:
        expected = durations.get(name, typical)
        if expected is None:
            return waited_s > PATIENCE_S
        saved += max(0.0, expected - costs.handed_over_s / (jobs - 1))
    return saved > costs.start_s
