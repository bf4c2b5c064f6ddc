"""The spans of a run in which every task is a hit, made ready once and filled in for each run by replacing bytes.

What differs between runs is one control byte in the template, which JSON never contains. What becomes such a byte
is found by the structure around it, which no text can imitate because quotes within texts are escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from nbmake_dag.record.ids import task_url
from nbmake_dag.record.limits import Keep, bounded
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.task_spans import SpanContext, TaskInfo, task_span
from nbmake_dag_reporting import schema
from nbmake_dag_reporting.otlp import encode_span, wrap

SPANS_PER_LINE = 500

_TRACE = "@trace"
_SPAN = "@span"
_RUN = "@run"
_URL = "@url"
_IDS = b'"traceId":"@trace","spanId":"@span'
_TIMES = b'"parentSpanId":"@run","startTimeUnixNano":"-1","endTimeUnixNano":"-2"'
_URL_VALUE = b'{"key":"%b","value":{"stringValue":"' % schema.TASK_URL.encode()
_URL_BYTE, _IDS_BYTE, _TIMES_BYTE = b"\x00", b"\x01", b"\x02"


class HitTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of ``count`` hits, and the seconds that they save."""

    lines: list[bytes]
    count: int
    saved_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """What differs between runs. ``prefix``: the first eight digits of task spans; ``resource``: encoded."""

    trace_id: str
    span_id: str
    prefix: str
    resource: bytes
    url: str


def hit_template(hits: Iterable[tuple[TaskInfo, TaskOutcome]], keep: Keep) -> HitTemplate:
    """Make the lines of hits, whose outcomes all have a record, in the order of the pipeline."""
    pairs = list(hits)
    ids = {info.name: f"{_SPAN}{number:08x}" for number, (info, _) in enumerate(pairs, start=1)}
    spans = [_template_span(info, outcome, ids, keep) for info, outcome in pairs]
    parts = [spans[start : start + SPANS_PER_LINE] for start in range(0, len(spans), SPANS_PER_LINE)]
    return HitTemplate(
        lines=[wrap(b"", b",".join(part)) for part in parts],
        count=len(pairs),
        saved_s=sum(outcome.record.origin.duration_s for _, outcome in pairs if outcome.record),
    )


def render(template: HitTemplate, run: RunPlace, *, start: int, end: int) -> Iterator[bytes]:
    """Fill in a run, and when it looked; line by line, which is kinder to memory than all at once."""
    ids = b'"traceId":"%b","spanId":"%b' % (run.trace_id.encode(), run.prefix.encode())
    times = b'"parentSpanId":"%b","startTimeUnixNano":"%d","endTimeUnixNano":"%d"' % (
        run.span_id.encode(),
        start,
        end,
    )
    url = msgspec.json.encode(run.url)[1:-1]
    for line in template.lines:
        yield run.resource + line.replace(_IDS_BYTE, ids).replace(_TIMES_BYTE, times).replace(_URL_BYTE, url)


def _template_span(info: TaskInfo, outcome: TaskOutcome, ids: dict[str, str], keep: Keep) -> bytes:
    span = task_span(
        SpanContext(trace_id=_TRACE, span_id=ids[info.name], parent_id=_RUN),
        info,
        outcome,
        url=task_url(_URL, info.name),
        start=-1,
        end=-2,
        spans=ids,
    )
    return (
        encode_span(bounded(span, keep))
        .replace(_URL_VALUE + _URL.encode(), _URL_VALUE + _URL_BYTE, 1)
        .replace(_IDS, _IDS_BYTE)
        .replace(_TIMES, _TIMES_BYTE)
    )
