"""How many attempts Ray has that have not begun."""

from __future__ import annotations

from nbmake_dag.execute.ray.gate import Gate


def gate_of(width: list[int]) -> tuple[Gate[str], list[str]]:
    """Make a gate of a width that can change, and the list of what went through."""
    through: list[str] = []
    return Gate(lambda: width[0], through.append), through


def test_as_many_of_a_kind_go_through_as_the_gate_is_wide() -> None:
    """In their order; a kind that waits for its nodes keeps no other from its own."""
    gate, through = gate_of([2])
    for name in ("a1", "a2", "a3", "b1", "a4"):
        gate.enter(name, name[0])
    assert through == ["a1", "a2", "b1"]
    gate.note_begun("a2")
    gate.note_begun("a2")
    assert through == ["a1", "a2", "b1", "a3"]
    assert gate.inside == ["a1", "b1", "a3"]


def test_what_waits_can_be_taken_back() -> None:
    gate, through = gate_of([1])
    for name in ("a1", "a2", "a3"):
        gate.enter(name, "a")
    assert gate.take_back("a2")
    assert not gate.take_back("a1")
    gate.note_begun("a1")
    assert through == ["a1", "a3"]


def test_a_wider_gate_lets_more_through() -> None:
    width = [0]
    gate, through = gate_of(width)
    gate.enter("a1", "a")
    gate.enter("b1", "b")
    assert through == []
    width[0] = 1
    gate.look_again()
    assert through == ["a1", "b1"]
