"""What a record is when something goes wrong, and how large it may become."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import (
    AttemptResult,
    CellEnded,
    CellStarted,
    Ended,
    Failure,
    Printed,
    Started,
)
from nbmake_dag.record.hits import store_hits
from nbmake_dag.record.journal import PRINTED_LIMIT
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.task_spans import TaskInfo
from nbmake_dag.record.writer import RunWriter
from nbmake_dag_reporting import events, run
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.hit_tables import FOLDER
from nbmake_dag_reporting.runs import list_runs, read_events, read_head, read_run
from tests.record.written import (
    INFOS,
    RECORD,
    RUN_ID,
    START,
    SUCCESS,
    TRACE_ID,
    Collected,
    attempt,
    header,
    refuse,
    spans_of,
)


def test_a_killed_driver_leaves_a_readable_run(runs: str) -> None:
    """What had ended is there; what was running is interrupted, the rest cancelled."""
    script = textwrap.dedent(
        f"""
        import os, signal
        from nbmake_dag.execute.protocol import CellEnded, CellStarted, Started
        from nbmake_dag.record.outcome import TaskOutcome
        from nbmake_dag.record.task_spans import TaskInfo
        from nbmake_dag.record.writer import RunHeader, RunWriter
        from nbmake_dag_reporting.cell_ref import CellRef
        from nbmake_dag_reporting.spans import Resource

        resource = Resource(attributes={{"cicd.pipeline.run.id": "r1", "vcs.ref.head.name": "main"}})
        writer = RunWriter({runs!r}, RunHeader(run_id="r1", trace_id="ab" * 16, pipeline="p", started=1,
                           resource=resource, parameters={{"n": 1}}), keep=repr, warn=print)
        writer.started([TaskInfo(name="a", family="a", type="command"),
                        TaskInfo(name="b", family="b", type="notebook", upstreams=("a",)),
                        TaskInfo(name="c", family="c", type="notebook", upstreams=("b",))])
        writer.planned("b", ["never ran"])
        writer.attempt_event(Started(task="b", attempt=1, time=10))
        writer.attempt_event(CellStarted(task="b", attempt=1, time=11, cell=CellRef(0), position=1, total=2,
                                         first_line="x"))
        writer.attempt_event(CellEnded(task="b", attempt=1, time=12, cell=CellRef(0)))
        writer.task_ended(TaskOutcome(task="a", status="skipped"))
        writer.attempt_event(CellStarted(task="b", attempt=1, time=13, cell=CellRef(1), position=2, total=2,
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
        run.CellRun(cell=CellRef(0), first_line="x", started=11, ended=12),
        run.CellRun(cell=CellRef(1), first_line="y", started=13, ended=None),
    )
    assert (c.status, c.attempts) == ("cancelled", ())


def test_the_spans_of_a_dead_worker_are_written_by_the_driver(runs: str) -> None:
    """Its cells come from the events that were seen; the one that ran has the attempt's error."""
    writer = RunWriter(runs, header(), keep=bytes.hex, warn=refuse)
    writer.started(INFOS[:1])
    writer.attempt_event(Started(task="ingest", attempt=1, time=START))
    for index in (0, 1):
        writer.attempt_event(
            CellStarted(
                task="ingest",
                attempt=1,
                time=START + index,
                cell=CellRef(index),
                position=index + 1,
                total=2,
                first_line="x",
            )
        )
        if index == 0:
            writer.attempt_event(CellEnded(task="ingest", attempt=1, time=START + 1, cell=CellRef(0)))
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
    writer = RunWriter(runs, header(), keep=bytes.hex, warn=refuse)
    writer.started(INFOS)
    parent = writer.traceparent_for("train[n=1]", 1)
    task = writer.task_span_id("train[n=1]")
    attempt(writer, "train[n=1]", 1, SUCCESS)
    spans = {span.name: span for span in spans_of(writer)}
    assert parent == f"00-{TRACE_ID}-{spans['attempt 1'].span_id}-01"
    assert spans["attempt 1"].parent_id == task


def test_printed_text_is_bounded(runs: str) -> None:
    """The events of a chatty attempt end with a mark."""
    writer = RunWriter(runs, header(), keep=bytes.hex, warn=refuse)
    writer.started(INFOS)
    for _ in range(10):
        writer.attempt_event(
            Printed(task="ingest", attempt=1, time=START, stream="stdout", text="x" * (PRINTED_LIMIT // 4 + 1))
        )
    printed = [item for item in read_events(writer.directory) if isinstance(item, events.Printed)]
    assert sum(len(item.text) for item in printed) == PRINTED_LIMIT
    assert [item.truncated for item in printed] == [False, False, False, True]


def full_disk() -> Callable[[int, bytes], int]:
    """Return what writes half of what it gets, once, and then refuses."""
    answers = iter([1])

    def write(descriptor: int, line: bytes) -> int:
        del descriptor
        for _ in answers:
            return len(line) // 2
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write


@pytest.mark.parametrize("spoil", [lambda runs: Path(runs).write_text(""), lambda runs: None])
def test_a_record_that_cannot_be_written_is_said_once(
    runs: str, spoil: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a folder that cannot be made nor a full disk fails a build, or says more than one line."""
    if spoil(runs) is None:
        monkeypatch.setattr(os, "write", full_disk())
    said: list[str] = []
    writer = RunWriter(runs, header(), keep=bytes.hex, warn=said.append)
    writer.started(INFOS)
    attempt(writer, "train[n=1]", 1, SUCCESS)
    writer.task_ended(TaskOutcome(task=TaskName("ingest"), status="up_to_date", record=RECORD))
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
        (INFOS[0], TaskOutcome(task=TaskName("ingest"), status="up_to_date", record=RECORD)),
        (evil, TaskOutcome(task=TaskName(evil.name), status="up_to_date", record=RECORD)),
    ]
    writer = RunWriter(runs, header(), keep=bytes.hex, warn=refuse, exporter=(sink := Collected()))
    writer.started()
    writer.hits(store_hits(runs, hits, bytes.hex), start=START, end=START + 5)
    writer.ended("success", 0)
    other = RunWriter(runs + "2", header(), keep=bytes.hex, warn=refuse)
    other.started([info for info, _ in hits])
    for _, outcome in hits:
        other.task_ended(outcome)
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
    """Their tables are under 2 MB, and what each run has of its own is under 10 kB."""
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
            TaskOutcome(
                task=TaskName(name), status="up_to_date", record=RECORD, notebook_source=os.urandom(32).hex()
            ),
        )
        for number, name in enumerate(names)
    ]
    writer = RunWriter(runs, header(), keep=bytes.hex, warn=refuse)
    writer.started()
    writer.hits(store_hits(runs, hits, bytes.hex), start=START, end=START)
    writer.ended("success", 0)
    assert len(read_run(writer.directory).tasks) == 10_000
    assert sum(path.stat().st_size for path in Path(writer.directory).iterdir()) < 10_000
    tables = list(Path(runs, FOLDER).iterdir())
    assert len(tables) > 10
    assert sum(path.stat().st_size for path in tables) < 2_000_000
