"""What others make of the record: the official OTLP/JSON classes, and rotel, a real collector.

Both are pre-releases, in an environment of their own:

    python -m venv otel && otel/bin/pip install --pre rotel opentelemetry-proto-json
    NBDAG_OTEL_ORACLE=otel/bin/python pytest -m otel_oracle tests/record/test_oracle.py
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import AttemptResult, CellEnded, CellStarted, Ended, Failure, Started
from nbmake_dag.record.export import Exporter
from nbmake_dag.record.hits import store_hits
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.task_spans import TaskInfo
from nbmake_dag.record.writer import RunHeader, RunWriter
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Artifact, Logged, Origin, Record
from nbmake_dag_reporting.cell_ref import CellRef
from nbmake_dag_reporting.runs import read_trace
from nbmake_dag_reporting.spans import Resource
from nbmake_dag_reporting.vocabulary import AttemptOutcome

pytestmark = pytest.mark.otel_oracle
ROUND_TRIP = """
import json, sys
from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest
for line in sys.stdin:
    print(json.dumps(ExportTraceServiceRequest.from_json(line).to_dict()))
"""
FIND_ROTEL = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))"
RESOURCE = Resource(attributes={"service.name": "nbdag", "process.command_args": ["nbdag"]}, version="0.1.0")
RECORD = Record(
    key=Key("11" * 16),
    static_key=Key("22" * 16),
    own_key=Key("33" * 16),
    task="ingest",
    ingredients=(),
    outputs=(),
    logged=Logged(),
    origin=Origin(run_id="r0", trace_id="77" * 16, span_id="66" * 8, started=1, duration_s=31.0),
)


@pytest.fixture(scope="module")
def oracle() -> str:
    return os.environ["NBDAG_OTEL_ORACLE"]


@pytest.fixture
def rotel(oracle: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Start a collector that writes what it receives to a log."""
    binary = subprocess.run([oracle, "-c", FIND_ROTEL], check=True, capture_output=True, text=True).stdout.strip()
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            ports.append(free.getsockname()[1])
    log = tmp_path / "rotel.log"
    command = [binary, "start", "--otlp-http-endpoint", f"127.0.0.1:{ports[0]}"]
    command += [
        "--otlp-grpc-endpoint",
        f"127.0.0.1:{ports[1]}",
        "--exporter",
        "blackhole",
        "--debug-log",
        "traces",
    ]
    command += ["--debug-log-verbosity", "detailed", "--pid-file", str(tmp_path / "rotel.pid")]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        wait_for(lambda: connects(ports[0]))
        yield f"http://127.0.0.1:{ports[0]}", log
        process.send_signal(signal.SIGTERM)


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition) -> None:
    """Poll until a condition holds, for at most 30 s."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def refuse(message: str) -> None:
    raise AssertionError(message)


def record_a_run(directory: Path, exporter: Exporter | None = None) -> Path:
    """Record a hit, and a task with a hanging, a failing and a succeeding attempt."""
    header = RunHeader(run_id="r1", trace_id="ab" * 16, pipeline="p", started=1, resource=RESOURCE)
    writer = RunWriter(str(directory), header, keep=bytes.hex, warn=refuse, exporter=exporter)
    parameters = {
        "i": 2**63 - 1,
        "f": float("nan"),
        "b": False,
        "s": "",
        "l": [1, [2.5, []]],
        "t": {"a.b": 1, "e": {}},
    }
    writer.started(
        [
            TaskInfo(name="ingest", family="ingest", type="command"),
            TaskInfo(name="t", family="t", type="notebook", parameters=parameters, upstreams=("ingest",)),
        ]
    )
    writer.task_ended(TaskOutcome(task=TaskName("ingest"), status="up_to_date", record=RECORD))
    attempts: list[AttemptResult] = []
    outcomes: tuple[AttemptOutcome, ...] = ("timeout", "failed", "succeeded")
    for number, outcome in enumerate(outcomes, start=1):
        failure = None if outcome == "succeeded" else Failure(type="ValueError", message="boom", traceback="Trace")
        logged = Logged(metrics={"auc.val": 0.5}, artifacts={"x": Artifact(sha256="e", size=0, media_type="t")})
        result = AttemptResult(outcome=outcome, started=number, ended=number + 5, failure=failure, logged=logged)
        attempts.append(result)
        writer.attempt_event(Started(task="t", attempt=number, time=number))
        writer.attempt_event(
            CellStarted(
                task="t", attempt=number, time=number, cell=CellRef(0), position=1, total=1, first_line="import x"
            )
        )
        if outcome != "timeout":
            error = failure.type if failure else None
            writer.attempt_event(
                CellEnded(task="t", attempt=number, time=number + 1, cell=CellRef(0), error=error)
            )
        writer.attempt_event(Ended(task="t", attempt=number, result=result))
    writer.task_ended(TaskOutcome(task=TaskName("t"), status="ran", attempts=tuple(attempts)))
    writer.ended("success", 0)
    return directory / "r1" / "trace.otlp.jsonl"


def record_hits(directory: Path) -> Path:
    """Record a run of nothing but hits."""
    header = RunHeader(run_id="r2", trace_id="cd" * 16, pipeline="p", started=1, resource=RESOURCE)
    writer = RunWriter(str(directory), header, keep=bytes.hex, warn=refuse)
    writer.started()
    infos = [TaskInfo(name=f"t{i}", family="t", type="command", upstreams=("t0",)) for i in range(1200)]
    writer.hits(
        store_hits(
            str(directory),
            [(info, TaskOutcome(task=TaskName(info.name), status="up_to_date", record=RECORD)) for info in infos],
            bytes.hex,
        ),
        start=1,
        end=2,
    )
    writer.ended("success", 0)
    return directory / "r2" / "trace.otlp.jsonl"


@pytest.mark.parametrize("record", [record_a_run, record_hits])
def test_every_line_passes_the_official_classes_unchanged(record, tmp_path: Path, oracle: str) -> None:
    """Parsed and written by opentelemetry-proto-json, each line is the same document: as written, and expanded."""
    trace = record(tmp_path)
    lines = trace.read_text() + read_trace(str(trace.parent)).decode()
    done = subprocess.run([oracle, "-c", ROUND_TRIP], input=lines, check=True, capture_output=True, text=True)
    pairs = zip(done.stdout.splitlines(), lines.splitlines(), strict=True)
    assert [
        ours for theirs, ours in pairs if json.loads(theirs) != json.loads(ours, object_hook=without_empty)
    ] == []


def without_empty(message: dict[str, object]) -> dict[str, object]:
    """Return a message of protobuf as its classes write it: a list that is empty is not there."""
    return {name: value for name, value in message.items() if value != []}


@pytest.mark.timing
def test_a_real_collector_receives_the_run(
    rotel: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every span by its identifier, with links and resource."""
    endpoint, log = rotel
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("NO_PROXY", "*")
    exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=refuse, deadline=60)
    lines = record_a_run(tmp_path, exporter).read_text().splitlines()
    spans = [
        span
        for line in lines
        for group in json.loads(line)["resourceSpans"]
        for part in group["scopeSpans"]
        for span in part["spans"]
    ]
    assert len(spans) == 9
    expected = {span["spanId"] for span in spans}
    expected |= {"nbdag.link.type", "depends_on", "cache_source", "service.name", "66" * 8, "RUN p"}
    wait_for(lambda: all(text in log.read_text() for text in expected))
