"""An attempt that is submitted to Ray again, while something else befalls it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import ray
from ray.exceptions import GetTimeoutError, TaskUnschedulableError

from nbmake_dag.execute.processes.frames import Frames
from nbmake_dag.execute.protocol import AttemptSpec, CommandWork, Ended, Event, Node, Order
from nbmake_dag.execute.ray import roster
from nbmake_dag.execute.ray.roster import Roster
from nbmake_dag.execute.ray.session import _Task


class NotedCarrier:
    """Attempts come to nothing with it; it notes what is asked of it, and lets something happen meanwhile."""

    nodes: tuple[Node, ...] = ()

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.followed: list[str] = []
        self.meanwhile: Callable[[], object] = bool

    def ahead(self) -> int:
        return 1

    def submit(self, spec: AttemptSpec, ticket: str) -> Any:
        self.submitted.append(ticket)
        self.happen()
        return ticket

    def withdraw(self, ticket: str) -> bool:
        self.happen()
        return True

    def events(self, spec: AttemptSpec, generator: Any) -> Iterator[Event]:
        self.followed.append(generator)
        yield from ()

    def happen(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, bool
        meanwhile()


class OneAttempt:
    """An attempt with its carrier, and the ends that the driver hears."""

    def __init__(self, spec: AttemptSpec) -> None:
        here, there = socket.socketpair()
        self.carrier = NotedCarrier()
        self._here = Frames(here, msgspec.json.Decoder(Order))
        self._driver = Frames(there, msgspec.json.Decoder(Event))
        self.task = _Task(spec, self.carrier, self._here, bool)

    def ends(self) -> list[str]:
        self._here.close()
        found: list[str] = []
        while isinstance(event := self._driver.receive(), Ended):
            found.append(event.result.outcome)
        self._driver.close()
        return found


@pytest.fixture
def one(project) -> OneAttempt:
    return OneAttempt(project.spec(CommandWork(arguments=("true",))))


def test_what_is_taken_back_twice_at_once_is_submitted_once(one: OneAttempt) -> None:
    """As when a node goes while another joins."""
    twice: list[int] = []
    one.carrier.meanwhile = lambda: twice.append(one.task.withdraw())
    twice.append(one.task.withdraw())
    assert twice == [1, 0]
    one.task.follow(1)
    assert one.carrier.followed == ["r:t:1:1"]
    assert one.ends() == ["lost"]


def test_what_is_lost_while_it_is_taken_back_is_not_submitted(one: OneAttempt) -> None:
    """The driver has heard of its end, and may have another attempt run."""
    one.carrier.meanwhile = lambda: one.task.lose("its node went")
    assert one.task.withdraw() == 0
    one.task.follow(1)
    assert one.carrier.submitted == []
    assert one.ends() == ["lost"]


def test_what_is_taken_back_while_it_is_submitted_is_not_followed(
    one: OneAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is submitted then can be cancelled; Ray forgets the other."""
    cancelled: list[Any] = []
    monkeypatch.setattr("ray.cancel", cancelled.append)
    one.carrier.meanwhile = one.task.withdraw
    one.task.follow()
    assert (one.carrier.submitted, one.carrier.followed, cancelled) == (["r:t:1:0"], [], ["r:t:1:0"])
    one.task.follow(1)
    assert one.carrier.followed == ["r:t:1:1"]
    assert one.ends() == ["lost"]


def test_the_same_attempt_of_another_build_is_another(project) -> None:
    """In a watch the same Ray runs it: what was taken back in one build can be submitted in the next."""
    tickets: list[str] = []
    for run_id in ("first", "second"):
        one = OneAttempt(project.spec(CommandWork(arguments=("true",)), run_id=run_id))
        one.task.follow()
        tickets += one.carrier.submitted
        one.ends()
    assert tickets == ["first:t:1:0", "second:t:1:0"]


def test_a_node_that_takes_no_task_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may drain, as before it is taken away; it is asked again, and is heard the next time."""

    def refuse(*_: object, **__: object) -> None:
        raise TaskUnschedulableError("it drains")

    asked = Roster.__new__(Roster)
    asked._asked = {"n": ({}, "first")}
    monkeypatch.setattr(asked, "_ask", lambda _: "second")
    monkeypatch.setattr(roster, "_alive", lambda: [{"NodeID": "n"}])
    monkeypatch.setattr(ray, "get", refuse)
    with pytest.raises(GetTimeoutError):
        asked._answer("n", "first", deadline=0.0)
    assert asked._asked["n"][1] == "second"
