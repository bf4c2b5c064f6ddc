"""What makes a task another one."""

from __future__ import annotations

from operator import eq, ne

from msgspec.structs import replace

from nbmake_dag.core.model import Command, CompareRule, Output, ProjectPath, Task, TaskName

OUTPUT = Output(path=ProjectPath("out.csv"))
TASK = Task(
    name=TaskName("t"), family="t", work=Command(arguments="make it"), outputs=(OUTPUT,), lines={"command": 2}
)


def test_where_a_task_stands_and_how_its_outputs_are_compared_make_it_no_other() -> None:
    """Neither by `==` nor by `!=`, and what is equal has one hash."""
    compared = replace(OUTPUT, rule=CompareRule(how="numeric"))
    moved = replace(TASK, outputs=(compared,), lines={"command": 7})
    assert moved == TASK
    assert not ne(moved, TASK)
    assert {OUTPUT, compared} == {OUTPUT}


def test_what_it_does_makes_a_task_another_one() -> None:
    """By `==` and by `!=`."""
    other = replace(TASK, work=Command(arguments="make another"))
    assert other != TASK
    assert not eq(other, TASK)
    assert TASK.work != TASK
