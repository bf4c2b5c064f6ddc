"""Live export, against real collectors on the loopback: one that works, and all kinds that do not."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from nbmake_dag.core.model import TaskName
from nbmake_dag.execute.protocol import AttemptResult, Ended, Failure, Started
from nbmake_dag.record.export import Exporter, exporters_wanted
from nbmake_dag.record.outcome import TaskOutcome
from nbmake_dag.record.task_spans import TaskInfo
from nbmake_dag.record.writer import RunHeader, RunWriter
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Artifact, Logged, Origin, Record
from nbmake_dag_reporting.spans import Resource, Span

RESOURCE = Resource(
    attributes={"service.name": "nbdag", "process.pid": 7, "process.command_args": ["nbdag", "build"]},
    version="0.1.0",
)
SPAN = Span(trace_id="ab" * 16, span_id="cd" * 8, name="x", start=1, end=2)


@pytest.fixture(autouse=True)
def _no_exporter_goes_on() -> Iterator[None]:
    """Hold that an exporter that was closed ends, also when its collector never answered."""
    yield
    for thread in threading.enumerate():
        if thread.name == "nbdag-export":
            thread.join(10)
            assert not thread.is_alive()


class Collector:
    """An OTLP/HTTP collector that answers every request with one status and keeps what it was sent."""

    def __init__(self, status: int) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.arrived = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                collector.arrived.set()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method that it overrides
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self) -> dict[str, str]:
        """Give every span as text, with what it belongs to, by its identifier."""
        return spans_as_text(self.requests)


def spans_as_text(documents: list[Any]) -> dict[str, str]:
    found = {}
    for document in documents:
        for group in document.resource_spans:
            for part in group.scope_spans:
                for span in part.spans:
                    for item in (span, *span.links):
                        item.ClearField("flags")
                    found[span.span_id.hex()] = "\n".join(
                        map(str, (group.resource, group.schema_url, part.scope, part.schema_url, span))
                    )
    return found


def file_as_protobuf(path: Path) -> list[TracesData]:
    """Read lines with protobuf's own JSON reader, which wants identifiers in base64."""

    def rewrite(value: object) -> object:
        if isinstance(value, list):
            return [rewrite(item) for item in value]
        if isinstance(value, dict):
            return {
                key: base64.b64encode(bytes.fromhex(item)).decode()
                if key in {"traceId", "spanId", "parentSpanId"}
                else rewrite(item)
                for key, item in value.items()
            }
        return value

    return [
        json_format.ParseDict(cast("dict[str, Any]", rewrite(json.loads(line))), TracesData())
        for line in path.open()
    ]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between a test and its collector."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def collector(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector(getattr(request, "param", 200))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.endpoint)
    yield made
    made.server.shutdown()
    made.server.server_close()


def refuse(message: str) -> None:
    raise AssertionError(message)


def test_both_sinks_hold_equal_values(tmp_path: Path, collector: Collector) -> None:
    """Identifiers, times, values of every type, events, links, status, scope and resource."""
    record = Record(
        key=Key("11" * 16),
        static_key=Key("22" * 16),
        own_key=Key("33" * 16),
        task="ingest",
        ingredients=(),
        outputs=(),
        logged=Logged(),
        origin=Origin(run_id="r0", trace_id="77" * 16, span_id="66" * 8, started=1, duration_s=31.0),
    )
    parameters = {"i": 1, "f": 1.0, "b": True, "s": "ü", "l": [1, [2.5]], "t": {"a.b": None, "": {}}, "big": 2**80}
    result = AttemptResult(
        outcome="failed",
        started=10,
        ended=20,
        failure=Failure(type="ValueError", message="boom \ud800", traceback="\x1b[31mTraceback"),
        logged=Logged(
            params={f"p{number}": number for number in range(300)},
            metrics={"nan": float("nan"), "inf": float("inf"), "a.b": 0.1},
            artifacts={"x.png": Artifact(sha256="ee" * 32, size=3, media_type="image/png")},
        ),
    )
    exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=refuse, deadline=60)
    header = RunHeader(
        run_id="r1",
        trace_id="ab" * 16,
        pipeline="p",
        started=1,
        resource=RESOURCE,
        traceparent=f"00-{'99' * 16}-{'88' * 8}-01",
    )
    writer = RunWriter(str(tmp_path), header, keep=bytes.hex, warn=refuse, exporter=exporter)
    writer.started(
        [
            TaskInfo(name="ingest", family="ingest", type="command"),
            TaskInfo(name="t", family="t", type="notebook", parameters=parameters, upstreams=("ingest",)),
        ]
    )
    writer.task_ended(TaskOutcome(task=TaskName("ingest"), status="up_to_date", record=record))
    writer.attempt_event(Started(task="t", attempt=1, time=10))
    writer.attempt_event(Ended(task="t", attempt=1, result=result))
    writer.task_ended(TaskOutcome(task=TaskName("t"), status="failed", attempts=(result,)))
    writer.ended("failure", 1)
    assert collector.spans() == spans_as_text(file_as_protobuf(tmp_path / "r1" / "trace.otlp.jsonl"))
    assert len(collector.spans()) == 4


@pytest.mark.timing
def test_spans_arrive_while_the_build_runs(collector: Collector) -> None:
    """Nothing waits for the end."""
    exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=refuse, deadline=60)
    exporter.export([SPAN])
    assert collector.arrived.wait(60)
    exporter.close()
    assert list(collector.spans()) == ["cd" * 8]


def test_thousands_of_spans_all_arrive(collector: Collector) -> None:
    """No limit of an SDK's batches drops any."""
    exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=refuse, deadline=60)
    for number in range(5_000):
        exporter.export([Span(trace_id="ab" * 16, span_id=f"{number + 1:016x}", name="x", start=1, end=2)])
    exporter.close()
    assert len(collector.spans()) == 5_000


@pytest.mark.parametrize("collector", [403, pytest.param(503, marks=pytest.mark.slow)], indirect=True)
def test_a_refusing_collector_is_said_in_one_line(collector: Collector, capfd: pytest.CaptureFixture[str]) -> None:
    """The SDK itself stays silent."""
    said: list[str] = []
    exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=said.append, deadline=20)
    exporter.export([SPAN])
    exporter.close()
    assert len(said) == 1
    assert said[0].startswith("1 of 1 spans did not reach the OpenTelemetry collector: ")
    assert "\n" not in said[0]
    assert capfd.readouterr() == ("", "")
    assert collector.requests


def test_a_dead_collector_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    said: list[str] = []
    exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=said.append, deadline=3)
    exporter.export([SPAN])
    exporter.close()
    assert len(said) == 1


@pytest.mark.timing
def test_a_collector_that_never_answers_costs_no_more_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The promise to a build is its duration, so this one is measured."""
    with socket.create_server(("127.0.0.1", 0)) as hole:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{hole.getsockname()[1]}")
        said: list[str] = []
        exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=said.append)
        exporter.export([SPAN])
        before = time.monotonic()
        exporter.close()
        assert time.monotonic() - before < 5
    assert said == ["1 of 1 spans did not reach the OpenTelemetry collector: no answer within 4.5 s"]


def test_an_exporter_that_is_not_installed_is_said() -> None:
    """A wrong name in ``OTEL_TRACES_EXPORTER`` fails nothing."""
    said: list[str] = []
    exporter = Exporter(("zipkin_teletype",), RESOURCE, warn=said.append)
    exporter.export([SPAN])
    exporter.close()
    assert said == [
        "1 of 1 spans did not reach the OpenTelemetry collector: no exporter named zipkin_teletype is installed"
    ]


def test_more_than_the_queue_holds_is_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow collector takes no memory without end."""
    monkeypatch.setattr("nbmake_dag.record.export._QUEUE", 10)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as hole:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{hole.getsockname()[1]}")
        exporter = Exporter(("otlp_proto_http",), RESOURCE, warn=said.append, deadline=0.5)
        for _ in range(2_000):
            exporter.export([SPAN])
        exporter.close()
    assert said == ["2000 of 2000 spans did not reach the OpenTelemetry collector: no answer within 0.5 s"]


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "x"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ("otlp_proto_http",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, ("otlp_proto_http",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp_proto_http",)),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ("otlp_proto_grpc",)),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp_proto_http")),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ()),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, ()),
    ],
)
def test_only_the_standard_variables_ask_for_export(environ: dict[str, str], wanted: tuple[str, ...]) -> None:
    """An endpoint or an exporter's name does; ``none`` and ``OTEL_SDK_DISABLED`` forbid it."""
    assert exporters_wanted(environ) == wanted
