"""Send the spans of a run to a collector through the OpenTelemetry SDK, configured by the ``OTEL_*`` variables.

All of it, the import of the SDK included, happens on a thread behind a bounded queue. A collector that is dead,
slow or refusing costs a build the time that `Exporter.close` may take, and one line.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from nbmake_dag_reporting.spans import Resource, Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

DEADLINE: Final = 4.5
"""Seconds that the end of a build waits for a collector: with all around it, less than 5."""

_QUEUE = 50_000
_BATCH = 512
_LONGEST = 200
_GROUP = "opentelemetry_traces_exporter"


def exporters_wanted(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Name the exporters that the standard variables ask for; none where they do not."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    named = [name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()]
    if not named:
        endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        named = ["otlp"] if any(environ.get(name) for name in endpoints) else []
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    return tuple(otlp if name == "otlp" else name for name in named if name != "none")


class Exporter:
    """A sink that hands spans to SDK exporters on its own thread."""

    def __init__(
        self, wanted: Sequence[str], resource: Resource, *, warn: Callable[[str], None], deadline: float = DEADLINE
    ) -> None:
        self._wanted = wanted
        self._resource = resource
        self._warn = warn
        self._deadline = deadline
        self._queue: queue.Queue[Span | None] = queue.Queue(_QUEUE)
        self._given = 0
        self._sent = 0
        self._reason = f"no answer within {deadline:g} s"
        self._closing = threading.Event()
        self._exporters: list[SpanExporter] = []
        self._thread = threading.Thread(target=self._run, name="nbdag-export", daemon=True)
        self._thread.start()

    def export(self, spans: Sequence[Span]) -> None:
        """Queue spans; what finds no room is lost."""
        self._given += len(spans)
        with contextlib.suppress(queue.Full):
            for span in spans:
                self._queue.put_nowait(span)

    def close(self) -> None:
        """Send what is left, within the deadline, and report in one line what could not be sent."""
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(self._deadline)
        if self._thread.is_alive():
            self._shut_down()  # else it tries again in a process that has gone on
        if lost := self._given - self._sent:
            self._warn(f"{lost} of {self._given} spans did not reach the OpenTelemetry collector: {self._reason}")

    def _run(self) -> None:
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(handler := _Listener(self._heard))
        logger.propagate = False
        try:
            self._exporters += map(self._load, self._wanted)
            self._work(self._exporters)
            self._shut_down()
        except Exception as error:  # noqa: BLE001  # whatever an exporter does, it is only said
            self._heard(str(error) or type(error).__name__)
        finally:
            logger.removeHandler(handler)

    def _work(self, exporters: Sequence[SpanExporter]) -> None:
        from nbmake_dag.record.sdk import readable_spans, send  # noqa: PLC0415  # imports the SDK

        while batch := self._take():
            spans = [span for span in batch if span]
            if not spans:
                continue
            if send(exporters, readable_spans(self._resource, spans)):
                self._sent += len(spans)
            elif self._closing.is_set():
                return

    def _shut_down(self) -> None:
        for exporter in self._exporters:
            exporter.shutdown()

    def _take(self) -> list[Span | None]:
        """Wait for spans; nothing more comes once the queue is empty and closed."""
        batch = []
        if not (self._closing.is_set() and self._queue.empty()):
            batch.append(self._queue.get())
        while len(batch) < _BATCH and not self._queue.empty():
            batch.append(self._queue.get())
        return batch

    def _load(self, name: str) -> SpanExporter:
        found = importlib.metadata.entry_points(group=_GROUP, name=name)
        for entry in found:
            exporter: SpanExporter = entry.load()()
            return exporter
        raise LookupError(f"no exporter named {name} is installed")

    def _heard(self, message: str) -> None:
        self._reason = message.strip().partition("\n")[0][:_LONGEST]


class _Listener(logging.Handler):
    """Receives the SDK's messages on the thread that made it, in place of the terminal."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._heard(record.getMessage())
