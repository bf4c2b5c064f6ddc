"""A run as it is written: its record in every detail, for tests to read back."""

from typing import Any

import msgspec

from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import (
    AttemptResult,
    CellEnded,
    CellRun,
    CellStarted,
    Ended,
    Failure,
    Started,
)
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.task_spans import TaskInfo
from nbmake_dag.record.writer import RunHeader, RunWriter
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Access, Artifact, Logged, Origin, Output, OutputFile, Record
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.otlp import decode_line
from nbmake_dag_reporting.runs import read_trace
from nbmake_dag_reporting.spans import Resource, Span

TRACE_ID = "ab" * 16
RUN_ID = "20260131-235959-123-ababab"
START = 1_800_000_000_000_000_000
RESOURCE = Resource(
    attributes={"service.name": "nbdag", "cicd.pipeline.name": "digits", "cicd.pipeline.run.id": RUN_ID},
    version="0.1.0",
)


LOGGED = Logged(
    params={"depth": 2**70},
    metrics={"auc": 0.5, "auc.val": float("nan")},
    tags={"team": "blue"},
    artifacts={"roc.png": Artifact(sha256="ee" * 32, size=10, media_type="image/png")},
    series="cc" * 32,
)


OUTPUT = Output(
    path="models/m.onnx",
    digest="dd" * 16,
    files=(OutputFile(path="models/m.onnx", xxh3="aa", sha256="bb", size=12),),
)


RECORD = Record(
    key=Key("11" * 16),
    static_key=Key("22" * 16),
    own_key=Key("33" * 16),
    task="ingest",
    ingredients=(),
    outputs=(OUTPUT,),
    logged=LOGGED,
    origin=Origin(run_id="20260101-r", trace_id="77" * 16, span_id="66" * 8, started=1, duration_s=31.0),
    cells="44" * 32,
    undeclared=(Access(path="notes.txt", mode="read"),),
)


INFOS = [
    TaskInfo(name="ingest", family="ingest", type="command"),
    TaskInfo(
        name="train[n=1]",
        family="train",
        type="notebook",
        path="train.py",
        parameters={"n": 1, "run.environment": "dev"},
        upstreams=("ingest",),
        previous_s=2.0,
    ),
    TaskInfo(name="broken", family="broken", type="notebook", path="broken.py", upstreams=("ingest",)),
    TaskInfo(
        name="summary", family="summary", type="function", function="m.f", upstreams=("train[n=1]", "broken")
    ),
]


SUCCESS = AttemptResult(
    outcome="succeeded",
    started=START,
    ended=START + 900_000_000,
    ready=START + 100_000_000,
    cells=(CellRun(cell=CellRef(2), first_line="import x", started=START + 1, ended=START + 5),),
    notebook="55" * 32,
    cell_outputs="44" * 32,
    outputs=(OUTPUT,),
    logged=LOGGED,
    cpu_s=0.8,
    peak_rss=1000,
    exit_code=0,
    pid=7,
    host="box",
)


FAILURE = Failure(
    type="ValueError",
    message="no \udcff digits",
    traceback="Traceback ...",
    cell=CellRef(3),
    cell_source="f()",
    line=1,
)


class Collected:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.closed = False

    def export(self, spans) -> None:
        self.spans += spans

    def close(self) -> None:
        self.closed = True


def header(**fields) -> RunHeader:
    return RunHeader(
        run_id=RUN_ID, trace_id=TRACE_ID, pipeline="digits", started=START, resource=RESOURCE, **fields
    )


def refuse(message: str) -> None:
    raise AssertionError(message)


def attempt(
    writer: RunWriter, task: str, number: int, result: AttemptResult, cells: tuple[CellRun, ...] = ()
) -> None:
    """Tell a writer of an attempt as an executor does."""
    writer.attempt_event(Started(task=task, attempt=number, time=result.started, pid=7))
    for position, cell in enumerate(cells, start=1):
        writer.attempt_event(
            CellStarted(
                task=task,
                attempt=number,
                time=cell.started,
                cell=cell.cell,
                position=position,
                total=5,
                first_line=cell.first_line,
            )
        )
        writer.attempt_event(
            CellEnded(task=task, attempt=number, time=cell.ended, cell=cell.cell, error=cell.error)
        )
    writer.attempt_event(Ended(task=task, attempt=number, result=result))


def story(runs: str, exporter: Collected | None = None) -> RunWriter:
    """Record a run with a hit, a task that ran, one that failed twice, and one skipped."""
    writer = RunWriter(
        runs,
        header(parameters={"n": 1}, targets=("summary",), traceparent=f"00-{'99' * 16}-{'88' * 8}-01"),
        keep=bytes.hex,
        warn=refuse,
        exporter=exporter,
    )
    writer.started(INFOS)
    writer.planned("train[n=1]", ["code: train.py, cell 4"], ("cell",))
    writer.task_ended(
        TaskOutcome(task=TaskName("ingest"), status="restored", record=RECORD, reasons=("x.npy was missing",))
    )
    attempt(writer, "train[n=1]", 1, SUCCESS, SUCCESS.cells)
    writer.task_ended(
        TaskOutcome(
            task=TaskName("train[n=1]"),
            status="ran",
            record=RECORD,
            reasons=("code: train.py, cell 4",),
            codes=("cell",),
            attempts=(SUCCESS,),
            notebook_source="5a" * 32,
        ),
    )
    lost = AttemptResult(
        outcome="lost", started=START, ended=START + 5, failure=Failure(type="_OTHER", message="died")
    )
    failed = AttemptResult(outcome="failed", started=START + 10, ended=START + 20, failure=FAILURE)
    attempt(writer, "broken", 1, lost)
    attempt(
        writer,
        "broken",
        2,
        failed,
        (CellRun(cell=CellRef(3), first_line="f()", started=START + 12, ended=START + 15, error="ValueError"),),
    )
    writer.task_ended(TaskOutcome(task=TaskName("broken"), status="failed", attempts=(lost, failed)))
    writer.task_ended(TaskOutcome(task=TaskName("summary"), status="skipped", reasons=("broken failed",)))
    writer.ended("failure", 1)
    return writer


def spans_of(writer: RunWriter) -> list[Span]:
    return [span for line in read_trace(writer.directory).splitlines() for span in decode_line(line)[1]]


def resolve(own_key: str, key: str) -> dict[str, Any]:
    assert (own_key, key) == ("33" * 16, "11" * 16)
    return msgspec.to_builtins(RECORD)
