"""What is true of a schedule after every event."""

from __future__ import annotations

from nbmake_dag.core.graph import Graph
from nbmake_dag.core.schedule import ENDED, Schedule, State

WELL = frozenset({State.UP_TO_DATE, State.RESTORED, State.RAN})
BADLY = ENDED - WELL


def validate_schedule(schedule: Schedule, graph: Graph) -> None:
    """Check the whole state; O(tasks + edges)."""
    states = schedule.states
    assert set(states) == set(graph.order)
    assert schedule.done == all(state in ENDED for state in states.values())
    for name, state in states.items():
        above = [states[other] for other in graph.upstream[name]]
        if state is State.WAITING:
            assert not all(other in WELL for other in above), f"{name} waits for nothing"
            assert not any(other in BADLY for other in above), f"{name} waits for what will never come"
        elif state is State.SKIPPED:
            assert any(other in {State.FAILED, State.SKIPPED} for other in above), f"{name} is skipped for nothing"
        elif state is not State.CANCELLED:
            assert all(other in WELL for other in above), f"{name} is {state.value} before what it needs"
    if not schedule.done:
        assert any(
            state in {State.LOOKING_UP, State.READY, State.RUNNING, State.RESTORING} for state in states.values()
        ), "nothing can happen any more"
