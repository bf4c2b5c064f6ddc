"""Lines of events: read back as written, and read past damage."""

import pytest

from nbmake_dag_reporting.events import (
    AttemptEnded,
    AttemptStarted,
    CellEnded,
    CellStarted,
    Event,
    Printed,
    RunEnded,
    RunStarted,
    TaskFinished,
    TaskPlanned,
    TaskWaits,
    WantedTask,
    decode_events,
    encode_event,
)
from nbmake_dag_reporting.otlp import DamagedLineError, decode_line

EVENTS: list[Event] = [
    RunStarted(
        time=1,
        run_id="r",
        trace_id="ab" * 16,
        span_id="cd" * 8,
        pipeline="p",
        resource={"service.name": "nbdag"},
        attributes={"nbdag.param.n": 1},
        tasks=(
            WantedTask(name="b", family="b", upstreams=("a",), previous_s=1.5),
            WantedTask(name="a", family="a"),
        ),
    ),
    TaskPlanned(time=2, task="b", status="stale", reasons=("code: cell 4",)),
    TaskWaits(time=2, task="b", pool="database"),
    AttemptStarted(time=3, task="b", attempt=1, span_id="ef" * 8, pid=7),
    CellStarted(time=4, task="b", attempt=1, index=0, position=1, total=2, first_line="import time"),
    Printed(time=5, task="b", attempt=1, stream="stdout", text="line\u2028with a separator\n", cell=0),
    CellEnded(time=6, task="b", attempt=1, index=0, error="ValueError"),
    AttemptEnded(time=7, task="b", attempt=1, outcome="failed", error="ValueError"),
    TaskFinished(time=8, task="b", status="failed"),
    RunEnded(time=9, result="failure", exit_code=1),
]


def test_events_are_read_back_as_written() -> None:
    """One line each, whatever the text holds."""
    data = b"".join(map(encode_event, EVENTS))
    assert data.count(b"\n") == len(EVENTS)
    assert list(decode_events(data)) == EVENTS


def test_a_line_names_its_event() -> None:
    """Other programs can read the file."""
    assert encode_event(EVENTS[-1]) == b'{"event":"run_ended","time":9,"result":"failure","exit_code":1}\n'


def test_a_torn_last_line_is_passed_over() -> None:
    """A kill within a write costs that line."""
    whole = b"".join(map(encode_event, EVENTS[:3]))
    torn = encode_event(EVENTS[3])
    for length in range(len(torn) - 1):
        assert list(decode_events(whole + torn[:length])) == EVENTS[:3]


def test_a_line_that_is_too_deep_is_passed_over() -> None:
    """Nobody's JSON ends the reading of a run."""
    deep = b'{"x":' + b"[" * 100_000 + b"\n"
    assert list(decode_events(deep)) == []
    with pytest.raises(DamagedLineError):
        decode_line(deep)


def test_a_line_of_a_later_version_is_passed_over() -> None:
    """What is unknown does not hide what is known."""
    data = encode_event(EVENTS[1]) + b'{"event":"moon_landed","time":1}\n\xff\xfe\n' + encode_event(EVENTS[2])
    assert list(decode_events(data)) == EVENTS[1:3]
