"""Directories of runs: found by name, described by their last line, and readable whatever was damaged."""

import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.events import AttemptStarted, CellStarted, Event, RunStarted, WantedTask, encode_event
from nbmake_dag_reporting.otlp import encode_line
from nbmake_dag_reporting.run import Ci, RecordRef, Vcs
from nbmake_dag_reporting.runs import RunNotFoundError, find_run, list_runs, read_head, read_records, read_run
from nbmake_dag_reporting.spans import Link, Resource, Span, SpanEvent

TRACE = "ab" * 16
RESOURCE = Resource(
    attributes={
        schema.RUN_ID: "r1",
        schema.PIPELINE_NAME: "digits",
        schema.VCS_HEAD_REVISION: "c0ffee",
        schema.VCS_DIRTY: False,
        schema.CI_PROVIDER: "github",
        schema.CI_ACTOR: "ada",
        schema.RUN_URL: "https://ci/1",
    }
)


def span(number: int, name: str, parent: int | None, attributes: dict[str, Any], **fields) -> Span:
    return Span(
        trace_id=TRACE,
        span_id=f"{number:016x}",
        parent_id=f"{parent:016x}" if parent else None,
        name=name,
        start=number,
        end=number + 1,
        attributes=attributes,
        **fields,
    )


ARTIFACT = SpanEvent(
    name=schema.EVENT_ARTIFACT,
    time=1,
    attributes={
        schema.ARTIFACT_NAME: "x.png",
        schema.ARTIFACT_HASH: "sha256:ee",
        schema.FILE_SIZE: 3,
        schema.ARTIFACT_MEDIA: "image/png",
    },
)
TASK = span(
    3,
    "t",
    2,
    {
        schema.TASK_NAME: "t",
        schema.TASK_STATUS: "ran",
        schema.TASK_REASONS: ["first run"],
        schema.METRIC + "auc": 0.5,
        schema.CACHE_KEY: "k",
        schema.CACHE_OWN_KEY: "o",
    },
    events=(ARTIFACT,),
    links=(Link(trace_id=TRACE, span_id=f"{3:016x}", attributes={schema.LINK_TYPE: "depends_on"}),),
)
ATTEMPT = span(
    4, "attempt 1", 3, {schema.TASK_NAME: "t", schema.ATTEMPT_NUMBER: 1, schema.ATTEMPT_OUTCOME: "succeeded"}
)
CELL = span(5, "cell 0", 4, {schema.TASK_NAME: "t", schema.CELL_INDEX: 0, schema.CELL_LINE: "import x"})
RUN = span(
    2,
    "RUN digits",
    None,
    {
        schema.RESULT: "success",
        schema.EXIT_CODE: 0,
        schema.COUNT + "total": 1,
        schema.COUNT + "ran": 1,
        schema.PARAM + "n": 1,
        schema.RUN_SAVED: 1.5,
    },
)
LINES = [encode_line(RESOURCE, [item]) for item in (CELL, ATTEMPT, TASK, RUN)]
STARTS: list[Event] = [
    RunStarted(
        time=1,
        run_id="r1",
        trace_id=TRACE,
        span_id=f"{2:016x}",
        pipeline="digits",
        resource=dict(RESOURCE.attributes),
        tasks=(WantedTask(name="t", family="t"),),
    ),
    AttemptStarted(time=4, task="t", attempt=1, span_id=f"{4:016x}"),
    CellStarted(time=5, task="t", attempt=1, index=0, position=1, total=1, first_line="import x"),
]
EVENTS = b"".join(map(encode_event, STARTS))


def record(directory: Path, trace: bytes = b"".join(LINES), events: bytes = EVENTS) -> str:
    directory.mkdir(parents=True)
    (directory / "trace.otlp.jsonl").write_bytes(trace)
    (directory / "events.jsonl").write_bytes(events)
    return str(directory)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("20260101-a", "20260102-a", "20260103-a"):
        record(tmp_path / name)
    return tmp_path


def test_runs_are_listed_newest_first_and_what_is_none_is_left_out(runs: Path) -> None:
    """By their names, which sort by time."""
    (runs / "20260104-empty").mkdir()
    (runs / "README").write_text("not a run")
    assert [Path(head.directory).name for head in list_runs(str(runs))] == [
        "20260103-a",
        "20260102-a",
        "20260101-a",
    ]
    assert list_runs(str(runs / "nowhere")) == []


def test_a_head_says_what_a_list_of_runs_shows(runs: Path) -> None:
    """Result, commit, CI job, parameters, counts."""
    head = read_head(str(runs / "20260101-a"))
    assert head is not None
    assert (head.id, head.pipeline, head.result, head.exit_code, head.saved_s) == (
        "r1",
        "digits",
        "success",
        0,
        1.5,
    )
    assert (head.counts, head.parameters) == ({"total": 1, "ran": 1}, {"n": 1})
    assert head.vcs == Vcs(head_revision="c0ffee", dirty=False)
    assert head.ci == Ci(provider="github", url="https://ci/1", actor="ada")


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("latest", "20260103-a"),
        ("latest~0", "20260103-a"),
        ("latest~2", "20260101-a"),
        ("20260102", "20260102-a"),
        ("20260102-a", "20260102-a"),
    ],
)
def test_a_run_is_found_by_name(runs: Path, ref: str, name: str) -> None:
    """Its id, a unique prefix, or its distance from the latest."""
    assert find_run(str(runs), ref) == str(runs / name)


def test_an_id_that_is_the_prefix_of_another_is_found(runs: Path) -> None:
    """An exact name wins."""
    record(runs / "20260102-ab")
    assert find_run(str(runs), "20260102-a") == str(runs / "20260102-a")


def test_a_folder_without_a_word_of_a_run_is_none(runs: Path) -> None:
    """A build was killed before it could say anything."""
    (runs / "20260104-a").mkdir()
    (runs / "20260104-a" / "events.jsonl").touch()
    assert find_run(str(runs), "latest").endswith("20260103-a")


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("latest~3", "there is no run latest~3: 3 are recorded"),
        ("latest~x", "there is no run latest~x: 3 are recorded"),
        ("2025", "no run is named 2025"),
        ("", "no run is named "),
        ("202601", "3 runs have names that start with 202601: 20260103-a, 20260102-a, 20260101-a"),
    ],
)
def test_a_name_that_means_no_one_run_is_refused(runs: Path, ref: str, message: str) -> None:
    """The message says why."""
    with pytest.raises(RunNotFoundError, match=f"^{message}$"):
        find_run(str(runs), ref)


def test_a_last_line_of_any_length_is_the_head(tmp_path: Path) -> None:
    """Hundreds of parameters do not hide a run."""
    many = span(
        2, "RUN digits", None, {**RUN.attributes, **{f"{schema.PARAM}p{i}": "x" * 100 for i in range(1000)}}
    )
    directory = record(tmp_path / "r", b"".join([*LINES[:3], encode_line(RESOURCE, [many])]))
    head = read_head(directory)
    assert head is not None
    assert (head.result, len(head.parameters)) == ("success", 1001)


@pytest.mark.parametrize("seed", range(50))
def test_the_records_alone_are_those_of_the_whole_run(tmp_path: Path, seed: int) -> None:
    """Of a damaged trace, also one that ends anywhere, they are at least those."""
    rng = random.Random(seed)
    trace = bytearray(b"".join(LINES))
    if seed:
        trace[rng.randrange(len(trace))] = rng.randrange(256)
        del trace[rng.randrange(len(trace)) :]
    directory = record(tmp_path / "r", bytes(trace))
    whole = {name: task.record for name, task in read_run(directory).tasks.items() if task.record}
    assert whole.items() <= read_records(directory).items()
    assert seed or whole == read_records(directory) == {"t": RecordRef(own_key="o", key="k")}


def test_a_gzipped_trace_is_read_however_it_was_packed(tmp_path: Path) -> None:
    """Our own packing gives the head quickly; anybody else's gives it too."""
    directory = record(tmp_path / "r")
    plain = read_run(directory)
    trace = tmp_path / "r" / "trace.otlp.jsonl"
    data = trace.read_bytes()
    trace.unlink()
    (tmp_path / "r" / "trace.otlp.jsonl.gz").write_bytes(gzip.compress(data))
    assert read_run(directory) == plain
    head = read_head(directory)
    assert head is not None
    assert head.result == "success"


def test_an_open_attempt_is_interrupted(tmp_path: Path) -> None:
    """Without the spans of task and run, the events tell what was going on."""
    read = read_run(record(tmp_path / "r", b""))
    (attempt,) = read.tasks["t"].attempts
    assert (read.result, read.ended, read.tasks["t"].status) == ("interrupted", None, "cancelled")
    assert read.vcs.head_revision == "c0ffee"
    assert (attempt.outcome, attempt.ended, [cell.ended for cell in attempt.cells]) == (
        "interrupted",
        None,
        [None],
    )


def test_no_damage_raises_anything_but_run_not_found(tmp_path: Path) -> None:
    """Cut or flipped anywhere, a run is read as far as it is whole."""
    chance = random.Random(7)
    directory = record(tmp_path / "r")
    for _ in range(400):
        for name, content in (
            ("trace.otlp.jsonl", b"".join(LINES)),
            ("events.jsonl", EVENTS),
        ):
            data = bytearray(content)
            for _ in range(chance.randint(0, 3)):
                data[chance.randrange(len(data))] = chance.randrange(32, 127)
            (tmp_path / "r" / name).write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        read_head(directory)
        try:
            read_run(directory)
        except RunNotFoundError:
            continue


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(RunNotFoundError, match="holds no run"):
        read_run(str(tmp_path))
