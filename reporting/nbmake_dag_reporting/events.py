"""The lines of ``events.jsonl``: what happens in a run, as it happens; times in nanoseconds since the epoch.

They feed a live view, and make a run readable whose driver was killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from nbmake_dag_reporting.vocabulary import AttemptOutcome, RunResult, TaskStatus

EVENTS = "events.jsonl"
Time: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class WantedTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that the run is about. ``previous_s`` is how long its last execution took."""

    name: str
    family: str
    upstreams: tuple[str, ...] = ()
    previous_s: float | None = None


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, tag="run_started", tag_field="event"):
    """The first line. ``tasks`` is empty where all were hits, and the trace was written at once."""

    time: Time
    run_id: str
    trace_id: str
    span_id: str
    pipeline: str
    resource: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    """Those that the run's span will have."""
    tasks: tuple[WantedTask, ...] = ()


class TasksKnown(msgspec.Struct, frozen=True, kw_only=True, tag="tasks_known", tag_field="event"):
    """Tasks joined that only the run could know, or need others than was known; ``gone`` stood for them."""

    time: Time
    gone: tuple[str, ...] = ()
    tasks: tuple[WantedTask, ...] = ()


class TaskPlanned(msgspec.Struct, frozen=True, kw_only=True, tag="task_planned", tag_field="event"):
    """A task is going to be executed."""

    time: Time
    task: str
    status: Literal["stale"]
    reasons: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """A code for each reason."""


class TaskWaits(msgspec.Struct, frozen=True, kw_only=True, tag="task_waits", tag_field="event"):
    """A task begins to wait for a pool, until its next attempt starts."""

    time: Time
    task: str
    pool: str


class AttemptStarted(msgspec.Struct, frozen=True, kw_only=True, tag="attempt_started", tag_field="event"):
    """An attempt left the queue."""

    time: Time
    task: str
    attempt: int
    span_id: str
    pid: int | None = None
    node: str | None = None


class CellStarted(msgspec.Struct, frozen=True, kw_only=True, tag="cell_started", tag_field="event"):
    """A cell began; it is number ``position`` of ``total``."""

    time: Time
    task: str
    attempt: int
    index: int
    position: int
    total: int
    first_line: str
    cell_id: str = ""
    """Its identifier in the executed notebook: that of the file, else ``cell-`` and its index."""


class CellEnded(msgspec.Struct, frozen=True, kw_only=True, tag="cell_ended", tag_field="event"):
    """A cell ended; ``error`` is the class of the exception that made it fail, ``allowed`` of one that did not."""

    time: Time
    task: str
    attempt: int
    index: int
    error: str | None = None
    allowed: str | None = None
    cell_id: str = ""


class Printed(msgspec.Struct, frozen=True, kw_only=True, tag="printed", tag_field="event"):
    """Text that the work wrote. ``truncated``: what follows in this attempt is not recorded here."""

    time: Time
    task: str
    attempt: int
    stream: str
    text: str
    cell: int | None = None
    cell_id: str = ""
    truncated: bool = False


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True, tag="attempt_ended", tag_field="event"):
    """An attempt is over; its failure is described as in its span."""

    time: Time
    task: str
    attempt: int
    outcome: AttemptOutcome
    error: str | None = None
    message: str = ""
    traceback: str = ""
    """May hold ANSI colours. Of a long one the end."""
    cell: int | None = None
    cell_id: str = ""
    resumed: bool = False
    """Whether it began at a snapshot."""


class TaskFinished(msgspec.Struct, frozen=True, kw_only=True, tag="task_finished", tag_field="event"):
    """A task has its status."""

    time: Time
    task: str
    status: TaskStatus
    reasons: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """A code for each reason."""
    draft: bool = False
    """Whether it was resumed from a snapshot, or is below a task that was."""


class RunEnded(msgspec.Struct, frozen=True, kw_only=True, tag="run_ended", tag_field="event"):
    """The last line."""

    time: Time
    result: RunResult
    exit_code: int


Event: TypeAlias = (
    RunStarted
    | TasksKnown
    | TaskPlanned
    | TaskWaits
    | AttemptStarted
    | CellStarted
    | CellEnded
    | Printed
    | AttemptEnded
    | TaskFinished
    | RunEnded
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


def encode_event(event: Event) -> bytes:
    """Write one line. Doubles must be finite, and text be such as UTF-8 can hold."""
    return _encode(event) + b"\n"


def decode_events(data: bytes) -> Iterator[Event]:
    """Read the lines that are whole and known; a torn or damaged one is passed over."""
    for line in data.splitlines():
        try:
            yield _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
