"""What a run writes down, read back."""

import os

import msgspec
import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import (
    AttemptResult,
)
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.run_files import pack_trace
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_reporting import run, schema
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.documents import summary_document
from nbmake_dag_reporting.runs import read_head, read_run
from nbmake_dag_reporting.spans import Link, SpanEvent
from nbmake_dag_reporting.vocabulary import AttemptOutcome
from tests.record.written import (
    INFOS,
    RUN_ID,
    START,
    TRACE_ID,
    Collected,
    header,
    refuse,
    resolve,
    spans_of,
    story,
)


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
    assert only.cells == (run.CellRun(cell=CellRef(2), first_line="import x", started=START + 1, ended=START + 5),)
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
        cell=CellRef(3),
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
        parts: list[SpanEvent | Link] = [*span.events, *span.links]
        keys = [*span.attributes, *(key for part in parts for key in part.attributes)]
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
def test_a_task_has_the_result_of_its_last_attempt(runs: str, outcome: AttemptOutcome, result: str) -> None:
    """A timeout is a timeout, a dead worker an error of the infrastructure."""
    writer = RunWriter(runs, header(), keep=bytes.hex, warn=refuse)
    writer.started(INFOS[:1])
    attempts = (AttemptResult(outcome=outcome, started=START, ended=START + 1),)
    writer.task_ended(TaskOutcome(task=TaskName("ingest"), status="failed", attempts=attempts))
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
    fields = run.RunHead.__struct_fields__
    expected = [getattr(whole, name) for name in fields]
    assert [getattr(read_head(directory), name) for name in fields] == expected
    pack_trace(directory, above=0)
    assert sorted(os.listdir(directory)) == ["events.jsonl", "trace.otlp.jsonl.gz"]
    assert [getattr(read_head(directory), name) for name in fields] == expected
    assert repr(read_run(directory)) == repr(whole)


def test_the_summary_has_every_task_and_every_count(runs: str) -> None:
    """The JSON of ``--summarize``."""
    read = read_run(story(runs).directory)
    summary = msgspec.to_builtins(summary_document(read))
    assert summary | {"duration_s": 1.0, "tasks": list(summary["tasks"])} == {
        "format": 1,
        "run_id": RUN_ID,
        "result": "failure",
        "duration_s": 1.0,
        "saved_s": 31.0,
        "counts": read.counts,
        "tasks": [
            {
                "name": "ingest",
                "status": "restored",
                "reasons": ("x.npy was missing",),
                "codes": (),
                "key": "11" * 16,
                "duration_s": 0.0,
                "attempts": 0,
                "draft": False,
            },
            {
                "name": "train[n=1]",
                "status": "ran",
                "reasons": ("code: train.py, cell 4",),
                "codes": ("cell",),
                "key": "11" * 16,
                "duration_s": 0.9,
                "attempts": 1,
                "draft": False,
            },
            {
                "name": "broken",
                "status": "failed",
                "reasons": (),
                "codes": (),
                "key": None,
                "duration_s": 2e-08,
                "attempts": 2,
                "draft": False,
            },
            {
                "name": "summary",
                "status": "skipped",
                "reasons": ("broken failed",),
                "codes": (),
                "key": None,
                "duration_s": 0.0,
                "attempts": 0,
                "draft": False,
            },
        ],
    }


def test_what_an_attempt_needed_is_forgotten_when_it_ends(runs: str) -> None:
    """A run of very many tasks keeps no more than those of them that are under way."""
    writer = story(runs)
    assert not writer._tracks
    assert not writer._journal._ids
