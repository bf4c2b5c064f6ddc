"""What a run writes down, read back: ended, failed, interrupted, and when it cannot be written."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from nbmake_dag.execute.protocol import (
    AttemptResult,
    CellEnded,
    CellRun,
    CellStarted,
    Ended,
    Failure,
    Printed,
    Started,
)
from nbmake_dag.record.compress import compress_trace
from nbmake_dag.record.hits import hit_template
from nbmake_dag.record.journal import PRINTED_LIMIT
from nbmake_dag.record.task_spans import Outcome, TaskInfo
from nbmake_dag.record.writer import RunHeader, RunWriter
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Access, Artifact, Logged, Origin, Output, OutputFile, Record
from nbmake_dag_reporting import events, run, schema
from nbmake_dag_reporting.otlp import decode_line
from nbmake_dag_reporting.runs import list_runs, read_events, read_head, read_run
from nbmake_dag_reporting.spans import Resource, Span
from nbmake_dag_reporting.summary import summarize

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
    cells=(CellRun(index=2, first_line="import x", started=START + 1, ended=START + 5),),
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
    type="ValueError", message="no \udcff digits", traceback="Traceback ...", cell=3, cell_source="f()", line=1
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


@pytest.fixture
def runs(tmp_path: Path) -> str:
    return str(tmp_path / "runs")


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
                index=cell.index,
                position=position,
                total=5,
                first_line=cell.first_line,
            )
        )
        writer.attempt_event(
            CellEnded(task=task, attempt=number, time=cell.ended, index=cell.index, error=cell.error)
        )
    writer.attempt_event(Ended(task=task, attempt=number, result=result))


def story(runs: str, exporter: Collected | None = None) -> RunWriter:
    """Record a run with a hit, a task that ran, one that failed twice, and one skipped."""
    writer = RunWriter(
        runs,
        header(parameters={"n": 1}, targets=("summary",), traceparent=f"00-{'99' * 16}-{'88' * 8}-01"),
        warn=refuse,
        exporter=exporter,
    )
    writer.started(INFOS)
    writer.planned("train[n=1]", "stale", ["code: train.py, cell 4"])
    writer.task_ended("ingest", Outcome(status="restored", record=RECORD, reasons=("x.npy was missing",)))
    attempt(writer, "train[n=1]", 1, SUCCESS, SUCCESS.cells)
    writer.task_ended(
        "train[n=1]",
        Outcome(
            status="ran",
            record=RECORD,
            reasons=("code: train.py, cell 4",),
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
        (CellRun(index=3, first_line="f()", started=START + 12, ended=START + 15, error="ValueError"),),
    )
    writer.task_ended("broken", Outcome(status="failed", key="99" * 16, attempts=(lost, failed)))
    writer.task_ended("summary", Outcome(status="skipped", reasons=("broken failed",)))
    writer.ended("failure", 1)
    return writer


def spans_of(writer: RunWriter) -> list[Span]:
    lines = (Path(writer.directory) / "trace.otlp.jsonl").read_bytes().splitlines()
    return [span for line in lines for span in decode_line(line)[1]]


def resolve(own_key: str, key: str) -> dict:
    assert (own_key, key) == ("33" * 16, "11" * 16)
    return msgspec.to_builtins(RECORD)


def test_a_run_is_read_back_as_it_happened(runs: str) -> None:
    """Every task, attempt and cell, with what it logged; a hit's values come from its record."""
    writer = story(runs)
    read = read_run(writer.directory, resolve)
    tasks = read.tasks
    train, ingest, broken, summary = (tasks[name] for name in ("train[n=1]", "ingest", "broken", "summary"))
    artifacts = {"roc.png": run.Artifact(sha256="ee" * 32, size=10, media_type="image/png")}

    assert (read.id, read.trace_id, read.pipeline, read.started) == (RUN_ID, TRACE_ID, "digits", START)
    assert (read.result, read.exit_code, read.targets, read.saved_s) == ("failure", 1, ("summary",), 31.0)
    assert list(tasks) == [info.name for info in INFOS]
    assert read.counts == {
        "total": 4,
        "ran": 1,
        "restored": 1,
        "up_to_date": 0,
        "failed": 1,
        "skipped": 1,
        "cancelled": 0,
    }
    assert [task.status for task in tasks.values()] == ["restored", "ran", "failed", "skipped"]
    assert (ingest.source, ingest.saved_s, ingest.reasons) == (
        run.Source(run_id="20260101-r", trace_id="77" * 16, span_id="66" * 8),
        31.0,
        ("x.npy was missing",),
    )
    assert ingest.record == run.RecordRef(own_key="33" * 16, key="11" * 16)
    for task in (ingest, train):
        assert (task.artifacts, task.tags, task.series, task.cells) == (
            artifacts,
            {"team": "blue"},
            "cc" * 32,
            "44" * 32,
        )
        assert repr(task.metrics) == "{'auc': 0.5, 'auc.val': nan}"
        assert task.outputs == {"models/m.onnx": "dd" * 16}
        assert task.undeclared_reads == ("notes.txt",)
    assert train.params == {"n": 1, "run.environment": "dev", "depth": str(2**70)}
    assert (train.upstreams, train.type, train.path, train.notebook_source) == (
        ("ingest",),
        "notebook",
        "train.py",
        "5a" * 32,
    )
    (only,) = train.attempts
    assert only.cells == (run.CellRun(index=2, first_line="import x", started=START + 1, ended=START + 5),)
    assert (only.outcome, only.cpu_s, only.peak_rss, only.wait_s, only.host, only.notebook) == (
        "succeeded",
        0.8,
        1000,
        0.1,
        "box",
        "55" * 32,
    )
    assert [(item.number, item.outcome) for item in broken.attempts] == [(1, "lost"), (2, "failed")]
    assert broken.attempts[1].failure == run.Failure(
        type="ValueError",
        message="no \\udcff digits",
        traceback="Traceback ...",
        cell=3,
        cell_source="f()",
        line=1,
    )
    assert broken.attempts[1].cells[0].error == "ValueError"
    assert (summary.upstreams, summary.reasons, summary.attempts) == (
        ("train[n=1]", "broken"),
        ("broken failed",),
        (),
    )


def test_spans_form_one_tree_and_have_only_documented_attributes(runs: str) -> None:
    """Run, task, attempt, cell; every key is in the schema, and none is a level above another."""
    spans = spans_of(story(runs))
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans) == 1 + 4 + 3 + 2
    levels = {
        span.name: by_id[span.parent_id].name if span.parent_id else None
        for span in spans
        if span.name != "attempt 1"
    }
    assert levels == {
        "RUN digits": None,
        "ingest": "RUN digits",
        "train[n=1]": "RUN digits",
        "broken": "RUN digits",
        "summary": "RUN digits",
        "attempt 2": "broken",
        "cell 2": "attempt 1",
        "cell 3": "attempt 2",
    }
    assert spans[-1].kind == "server"
    for span in spans:
        keys = [*span.attributes, *(key for item in (*span.events, *span.links) for key in item.attributes)]
        assert [key for key in keys if schema.find(key) is None] == []
        assert [(a, b) for a in keys for b in keys if b.startswith(f"{a}.")] == []


def test_results_and_errors_follow_the_conventions(runs: str) -> None:
    """A failing cell is a failure, a skip a skip; success leaves the status unset; the outer trace is linked."""
    spans = {span.name: span for span in spans_of(story(runs))}
    at = {name: span.attributes.get("cicd.pipeline.task.run.result") for name, span in spans.items()}
    assert (at["ingest"], at["train[n=1]"], at["broken"], at["summary"]) == (
        "success",
        "success",
        "failure",
        "skip",
    )
    assert spans["RUN digits"].attributes["cicd.pipeline.result"] == "failure"
    assert {name for name, span in spans.items() if span.error is not None} == {
        "RUN digits",
        "broken",
        "attempt 1",
        "attempt 2",
        "cell 3",
    }
    assert spans["broken"].attributes["error.type"] == "ValueError"
    assert [event.name for event in spans["cell 3"].events] == ["exception"]
    assert [(link.trace_id, link.attributes) for link in spans["RUN digits"].links] == [
        ("99" * 16, {"nbdag.link.type": "outer"})
    ]


@pytest.mark.parametrize(("outcome", "result"), [("failed", "failure"), ("timeout", "timeout"), ("lost", "error")])
def test_a_task_has_the_result_of_its_last_attempt(runs: str, outcome: str, result: str) -> None:
    """A timeout is a timeout, a dead worker an error of the infrastructure."""
    writer = RunWriter(runs, header(), warn=refuse)
    writer.started(INFOS[:1])
    attempts = (AttemptResult(outcome=outcome, started=START, ended=START + 1),)
    writer.task_ended("ingest", Outcome(status="failed", attempts=attempts))
    (span,) = spans_of(writer)
    assert span.attributes["cicd.pipeline.task.run.result"] == result
    assert span.attributes["error.type"] == "_OTHER"


def test_both_sinks_get_the_same_spans(runs: str) -> None:
    """The exporter sees what the file holds, as it happens, and is closed at the end."""
    sink = Collected()
    written = spans_of(story(runs, sink))
    assert repr(sorted(sink.spans, key=lambda span: span.span_id)) == repr(
        sorted(written, key=lambda span: span.span_id)
    )
    assert sink.closed


def test_the_head_is_in_the_last_line(runs: str) -> None:
    """A list of runs needs nothing else, plain or packed."""
    directory = story(runs).directory
    whole = read_run(directory)
    fields = run.RunHead.__dataclass_fields__
    expected = [getattr(whole, name) for name in fields]
    assert [getattr(read_head(directory), name) for name in fields] == expected
    compress_trace(directory)
    assert sorted(os.listdir(directory)) == ["events.jsonl", "trace.otlp.jsonl.gz"]
    assert [getattr(read_head(directory), name) for name in fields] == expected
    assert repr(read_run(directory)) == repr(whole)


def test_the_summary_has_every_task_and_every_count(runs: str) -> None:
    """The JSON of ``--summarize``."""
    read = read_run(story(runs).directory)
    summary = summarize(read)
    assert summary | {"duration_s": 1.0} == {
        "run_id": RUN_ID,
        "result": "failure",
        "duration_s": 1.0,
        "saved_s": 31.0,
        "counts": read.counts,
        "tasks": [
            {
                "name": "ingest",
                "status": "restored",
                "reasons": ["x.npy was missing"],
                "key": "11" * 16,
                "duration_s": 0.0,
                "attempts": 0,
            },
            {
                "name": "train[n=1]",
                "status": "ran",
                "reasons": ["code: train.py, cell 4"],
                "key": "11" * 16,
                "duration_s": 0.9,
                "attempts": 1,
            },
            {
                "name": "broken",
                "status": "failed",
                "reasons": [],
                "key": "99" * 16,
                "duration_s": 2e-08,
                "attempts": 2,
            },
            {
                "name": "summary",
                "status": "skipped",
                "reasons": ["broken failed"],
                "key": None,
                "duration_s": 0.0,
                "attempts": 0,
            },
        ],
    }


def test_a_killed_driver_leaves_a_readable_run(runs: str) -> None:
    """What had ended is there; what was running is interrupted, the rest cancelled."""
    script = textwrap.dedent(
        f"""
        import os, signal
        from nbmake_dag.execute.protocol import CellEnded, CellStarted, Started
        from nbmake_dag.record.task_spans import Outcome, TaskInfo
        from nbmake_dag.record.writer import RunHeader, RunWriter
        from nbmake_dag_reporting.spans import Resource

        resource = Resource(attributes={{"cicd.pipeline.run.id": "r1", "vcs.ref.head.name": "main"}})
        writer = RunWriter({runs!r}, RunHeader(run_id="r1", trace_id="ab" * 16, pipeline="p", started=1,
                           resource=resource, parameters={{"n": 1}}), warn=print)
        writer.started([TaskInfo(name="a", family="a", type="command"),
                        TaskInfo(name="b", family="b", type="notebook", upstreams=("a",)),
                        TaskInfo(name="c", family="c", type="notebook", upstreams=("b",))])
        writer.planned("b", "stale", ["never ran"])
        writer.attempt_event(Started(task="b", attempt=1, time=10))
        writer.attempt_event(CellStarted(task="b", attempt=1, time=11, index=0, position=1, total=2,
                                         first_line="x"))
        writer.attempt_event(CellEnded(task="b", attempt=1, time=12, index=0))
        writer.task_ended("a", Outcome(status="skipped"))
        writer.attempt_event(CellStarted(task="b", attempt=1, time=13, index=1, position=2, total=2,
                                         first_line="y"))
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, env={**os.environ}, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (head,) = list_runs(runs)
    read = read_run(head.directory)
    assert (head.id, head.result, head.ended, head.vcs.head_name) == ("r1", "interrupted", None, "main")
    assert (read.result, read.parameters) == ("interrupted", {"n": 1})
    b, c = read.tasks["b"], read.tasks["c"]
    assert (b.status, b.reasons, b.upstreams) == ("cancelled", ("never ran",), ("a",))
    (cut,) = b.attempts
    assert (cut.outcome, cut.started, cut.ended) == ("interrupted", 10, None)
    assert cut.cells == (
        run.CellRun(index=0, first_line="x", started=11, ended=12),
        run.CellRun(index=1, first_line="y", started=13, ended=None),
    )
    assert (c.status, c.attempts) == ("cancelled", ())


def test_the_spans_of_a_dead_worker_are_written_by_the_driver(runs: str) -> None:
    """Its cells come from the events that were seen; the one that ran has the attempt's error."""
    writer = RunWriter(runs, header(), warn=refuse)
    writer.started(INFOS[:1])
    writer.attempt_event(Started(task="ingest", attempt=1, time=START))
    for index in (0, 1):
        writer.attempt_event(
            CellStarted(
                task="ingest",
                attempt=1,
                time=START + index,
                index=index,
                position=index + 1,
                total=2,
                first_line="x",
            )
        )
        if index == 0:
            writer.attempt_event(CellEnded(task="ingest", attempt=1, time=START + 1, index=0))
    died = AttemptResult(
        outcome="lost", started=START, ended=START + 9, failure=Failure(type="_OTHER", message="worker died")
    )
    writer.attempt_event(Ended(task="ingest", attempt=1, result=died))
    assert [(span.name, span.end, span.error) for span in spans_of(writer)] == [
        ("cell 0", START + 1, None),
        ("cell 1", START + 9, "worker died"),
        ("attempt 1", START + 9, "worker died"),
    ]


def test_the_traceparent_of_an_attempt_is_known_before_it_starts(runs: str) -> None:
    """What is instrumented inside a notebook nests below its attempt."""
    writer = RunWriter(runs, header(), warn=refuse)
    writer.started(INFOS)
    parent = writer.traceparent_for("train[n=1]", 1)
    task = writer.task_span_id("train[n=1]")
    attempt(writer, "train[n=1]", 1, SUCCESS)
    spans = {span.name: span for span in spans_of(writer)}
    assert parent == f"00-{TRACE_ID}-{spans['attempt 1'].span_id}-01"
    assert spans["attempt 1"].parent_id == task


def test_printed_text_is_bounded(runs: str) -> None:
    """The events of a chatty attempt end with a mark."""
    writer = RunWriter(runs, header(), warn=refuse)
    writer.started(INFOS)
    for _ in range(10):
        writer.attempt_event(
            Printed(task="ingest", attempt=1, time=START, stream="stdout", text="x" * (PRINTED_LIMIT // 4 + 1))
        )
    printed = [item for item in read_events(writer.directory) if isinstance(item, events.Printed)]
    assert sum(len(item.text) for item in printed) == PRINTED_LIMIT
    assert [item.truncated for item in printed] == [False, False, False, True]


@pytest.mark.parametrize("spoil", [lambda runs: Path(runs).write_text(""), lambda runs: None])
def test_a_record_that_cannot_be_written_is_said_once(
    runs: str, spoil: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a folder that cannot be made nor a full disk fails a build, or says more than one line."""
    if spoil(runs) is None:
        monkeypatch.setattr(os, "write", lambda descriptor, line: len(line) // 2)
    said: list[str] = []
    writer = RunWriter(runs, header(), warn=said.append)
    writer.started(INFOS)
    attempt(writer, "train[n=1]", 1, SUCCESS)
    writer.task_ended("ingest", Outcome(status="up_to_date", record=RECORD))
    writer.ended("success", 0)
    assert len(said) == 1
    assert said[0].startswith(f"the record of run {RUN_ID} is incomplete: ")
    assert "\n" not in said[0]


def test_a_template_of_hits_gives_the_spans_that_one_by_one_would(runs: str) -> None:
    """Prebuilt lines are as complete, and no text of a user is taken for a placeholder."""
    evil = TaskInfo(
        name='"traceId":"@trace","spanId":"@span',
        family="@url",
        type="notebook",
        parameters={"a": "@url", "b": {"cicd.pipeline.task.run.url.full": "@url"}, "c": "\x00\x01\x02"},
        upstreams=("ingest",),
    )
    hits = [
        (INFOS[0], Outcome(status="up_to_date", record=RECORD)),
        (evil, Outcome(status="up_to_date", record=RECORD)),
    ]
    writer = RunWriter(runs, header(), warn=refuse, exporter=(sink := Collected()))
    writer.started()
    writer.hits(hit_template(hits), start=START, end=START + 5)
    writer.ended("success", 0)
    other = RunWriter(runs + "2", header(), warn=refuse)
    other.started([info for info, _ in hits])
    for info, outcome in hits:
        other.task_ended(info.name, outcome)
    other.ended("success", 0)
    expected, got = spans_of(other), spans_of(writer)
    assert repr(sink.spans) == repr(got)
    assert [(span.start, span.end) for span in got[:2]] == [(START, START + 5)] * 2
    assert [span.name for span in got] == [INFOS[0].name, evil.name, "RUN digits"]
    assert got[1].links[0].span_id == got[0].span_id
    for left, right in zip(expected[:2], got[:2], strict=True):
        assert [key for key in left.attributes if left.attributes[key] != right.attributes[key]] == [
            "cicd.pipeline.task.run.url.full"
        ]
        assert left.attributes.keys() == right.attributes.keys()
    head = read_head(writer.directory)
    assert head is not None
    assert (head.counts["up_to_date"], head.counts["total"], head.saved_s) == (2, 2, 62.0)


def test_ten_thousand_hits_stay_small(runs: str) -> None:
    """Under 25 MB as lines, and under 2 MB packed."""
    names = [f"train[nr_train_images={number}]" for number in range(10_000)]
    hits = [
        (
            TaskInfo(
                name=name,
                family="train",
                type="notebook",
                path="notebooks/train-model.py",
                parameters={"nr_train_images": number, "run_environment": "dev"},
                upstreams=tuple(names[max(0, number - 2) : number]),
            ),
            Outcome(status="up_to_date", record=RECORD, notebook_source=os.urandom(32).hex()),
        )
        for number, name in enumerate(names)
    ]
    writer = RunWriter(runs, header(), warn=refuse)
    writer.started()
    writer.hits(hit_template(hits), start=START, end=START)
    writer.ended("success", 0)
    trace = Path(writer.directory) / "trace.otlp.jsonl"
    assert trace.stat().st_size < 25_000_000
    assert len(read_run(writer.directory).tasks) == 10_000
    compress_trace(writer.directory)
    assert (trace.parent / "trace.otlp.jsonl.gz").stat().st_size < 2_000_000
