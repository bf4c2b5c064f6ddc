"""Span values as the OpenTelemetry SDK has them, with our identifiers and without its limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from nbmake_dag_reporting.schema import SCHEMA_URL
from nbmake_dag_reporting.spans import Resource, Span

_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}


def send(exporters: Iterable[SpanExporter], spans: Sequence[ReadableSpan]) -> bool:
    """Export spans to all exporters, and return whether all of them accepted."""
    results = [exporter.export(spans) for exporter in exporters]
    return all(result is SpanExportResult.SUCCESS for result in results)


def readable_spans(resource: Resource, spans: Iterable[Span]) -> list[ReadableSpan]:
    """Convert spans that share a resource."""
    shared = SdkResource(dict(resource.attributes), SCHEMA_URL)
    scope = InstrumentationScope(resource.scope, resource.version, SCHEMA_URL)
    return [_readable(span, shared, scope) for span in spans]


def _readable(span: Span, resource: SdkResource, scope: InstrumentationScope) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        events=[Event(event.name, event.attributes, event.time) for event in span.events],
        links=[Link(_context(link.trace_id, link.span_id), link.attributes) for link in span.links],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=scope,
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
