"""OTLP/JSON: one line of a span file holds one ``TracesData`` document, as the OTLP file exporter specifies.

Keys are lowerCamelCase, identifiers hexadecimal, enums numbers, 64-bit integers text, and doubles that JSON does
not know are the texts ``NaN``, ``Infinity`` and ``-Infinity``. What is empty is left out. The fields of a span
have a fixed order, on which ready-made lines of hits rely.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeAlias

import msgspec

from nbmake_dag_reporting.numbers import spelled
from nbmake_dag_reporting.schema import SCHEMA_URL
from nbmake_dag_reporting.spans import Attributes, AttributeValue, Kind, Link, Resource, Span, SpanEvent

TRACE = "trace.otlp.jsonl"

_KINDS: dict[Kind, int] = {"internal": 1, "server": 2}
_KIND_OF: dict[int, Kind] = {number: kind for kind, number in _KINDS.items()}
_ERROR = 2

_encode = msgspec.json.Encoder().encode


class DamagedLineError(ValueError):
    """A line is not an OTLP/JSON document of spans."""


def encode_line(resource: Resource, spans: Iterable[Span]) -> bytes:
    """Write spans as one line, ending with a newline. Their values must be what `attribute_value` gives."""
    return wrap(encode_resource(resource), b",".join(map(encode_span, spans)))


def encode_resource(resource: Resource) -> bytes:
    """Encode the part of a line before its spans."""
    head = {
        "resource": {"attributes": _key_values(resource.attributes)},
        "schemaUrl": SCHEMA_URL,
        "scopeSpans": [],
    }
    scope = {"name": resource.scope, **({"version": resource.version} if resource.version else {})}
    inner = _encode({"scope": scope, "schemaUrl": SCHEMA_URL, "spans": []})
    return b'{"resourceSpans":[' + _encode(head).removesuffix(b"]}") + inner.removesuffix(b"]}")


def encode_span(span: Span) -> bytes:
    """Write one span without its surroundings."""
    fields: dict[str, Any] = {"traceId": span.trace_id, "spanId": span.span_id}
    if span.parent_id:
        fields["parentSpanId"] = span.parent_id
    fields["startTimeUnixNano"] = str(span.start)
    fields["endTimeUnixNano"] = str(span.end)
    fields["name"] = span.name
    fields["kind"] = _KINDS[span.kind]
    if span.attributes:
        fields["attributes"] = _key_values(span.attributes)
    if span.events:
        fields["events"] = [_event_fields(event) for event in span.events]
    if span.links:
        fields["links"] = [_link_fields(link) for link in span.links]
    fields["status"] = _status_fields(span.error)
    return _encode(fields)


def encode_attributes(attributes: Attributes) -> bytes:
    """Write attributes alone, as the list that they are in a span."""
    return _encode(_key_values(attributes))


def decode_attributes(data: bytes) -> dict[str, AttributeValue]:
    """Read what `encode_attributes` wrote; raises `DamagedLineError`."""
    try:
        return _attributes(_decode_attributes(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedLineError(str(error)) from error


def wrap(resource: bytes, spans: bytes) -> bytes:
    """Put encoded spans, separated by commas, behind an encoded resource."""
    return resource + spans + b"]}]}]}\n"


def decode_line(line: bytes) -> tuple[Resource, tuple[Span, ...]]:
    """Read a line back, of any writer; raises `DamagedLineError`. Unknown fields are ignored."""
    try:
        document = _decode(line)
        spans = tuple(
            _span(span) for group in document.resource_spans for part in group.scope_spans for span in part.spans
        )
        first = document.resource_spans[0]
        scope = first.scope_spans[0].scope
        attributes = _attributes(first.resource.attributes)
    except (IndexError, KeyError, ValueError, RecursionError) as error:
        raise DamagedLineError(str(error)) from error
    return Resource(attributes=attributes, scope=scope.name, version=scope.version), spans


def decode_span_attributes(line: bytes) -> Iterator[dict[str, AttributeValue]]:
    """Yield the attributes of each span of a line, and decode nothing else; raises `DamagedLineError`.

    Of a line with very many spans, one is in memory at a time.
    """
    try:
        for group in _decode_bare(line).resource_spans:
            for part in group.scope_spans:
                for span in part.spans:
                    yield _attributes(_decode_attributes(span.attributes))
    except (ValueError, RecursionError) as error:
        raise DamagedLineError(str(error)) from error


def _status_fields(error: str | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"code": _ERROR, "message": error} if error else {"code": _ERROR}


def _event_fields(event: SpanEvent) -> dict[str, Any]:
    fields: dict[str, Any] = {"timeUnixNano": str(event.time), "name": event.name}
    if event.attributes:
        fields["attributes"] = _key_values(event.attributes)
    return fields


def _link_fields(link: Link) -> dict[str, Any]:
    fields: dict[str, Any] = {"traceId": link.trace_id, "spanId": link.span_id}
    if link.attributes:
        fields["attributes"] = _key_values(link.attributes)
    return fields


def _key_values(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: AttributeValue) -> dict[str, Any]:
    match value:
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": spelled(value)}
        case None:
            return {}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case Mapping():
            return {"kvlistValue": {"values": _key_values(value)} if value else {}}
        case _:
            return {"arrayValue": {"values": [_any_value(item) for item in value]} if value else {}}


class _KeyValue(msgspec.Struct, frozen=True):
    key: str = ""
    value: _AnyValue | None = None


class _Values(msgspec.Struct, frozen=True):
    values: list[_AnyValue] = []


class _KeyValues(msgspec.Struct, frozen=True):
    values: list[_KeyValue] = []


class _AnyValue(msgspec.Struct, frozen=True, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    array_value: _Values | None = None
    kvlist_value: _KeyValues | None = None
    bytes_value: bytes | None = None


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    time_unix_nano: int = 0
    name: str = ""
    attributes: list[_KeyValue] = []


class _Link(msgspec.Struct, frozen=True, rename="camel"):
    trace_id: str
    span_id: str
    attributes: list[_KeyValue] = []


class _Status(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


_Time: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class _Span(msgspec.Struct, frozen=True, rename="camel"):
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    name: str = ""
    kind: int = 1
    start_time_unix_nano: _Time = 0
    end_time_unix_nano: _Time = 0
    attributes: list[_KeyValue] = []
    events: list[_Event] = []
    links: list[_Link] = []
    status: _Status = _Status()


class _Scope(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""


class _ScopeSpans(msgspec.Struct, frozen=True):
    scope: _Scope = _Scope()
    spans: list[_Span] = []


class _Resource(msgspec.Struct, frozen=True):
    attributes: list[_KeyValue] = []


class _ResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    resource: _Resource = _Resource()
    scope_spans: list[_ScopeSpans] = []


class _TracesData(msgspec.Struct, frozen=True, rename="camel"):
    resource_spans: list[_ResourceSpans]


class _BareSpan(msgspec.Struct, frozen=True):
    attributes: msgspec.Raw = msgspec.Raw(b"[]")


class _BareScopeSpans(msgspec.Struct, frozen=True):
    spans: list[_BareSpan] = []


class _BareResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    scope_spans: list[_BareScopeSpans] = []


class _BareTracesData(msgspec.Struct, frozen=True, rename="camel"):
    resource_spans: list[_BareResourceSpans]


_decode = msgspec.json.Decoder(_TracesData, strict=False).decode
_decode_bare = msgspec.json.Decoder(_BareTracesData).decode
_decode_attributes = msgspec.json.Decoder(list[_KeyValue], strict=False).decode


def _span(span: _Span) -> Span:
    return Span(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_id=span.parent_span_id.lower() or None,
        name=span.name,
        kind=_KIND_OF.get(span.kind, "internal"),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(
            SpanEvent(name=event.name, time=event.time_unix_nano, attributes=_attributes(event.attributes))
            for event in span.events
        ),
        links=tuple(
            Link(
                trace_id=link.trace_id.lower(),
                span_id=link.span_id.lower(),
                attributes=_attributes(link.attributes),
            )
            for link in span.links
        ),
        error=span.status.message if span.status.code == _ERROR else None,
    )


def _attributes(items: list[_KeyValue]) -> dict[str, AttributeValue]:
    return {item.key: _value(item.value) for item in items}


def _value(value: _AnyValue | None) -> AttributeValue:
    if value is None:
        return None
    if value.array_value is not None:
        return [_value(item) for item in value.array_value.values]
    if value.kvlist_value is not None:
        return _attributes(value.kvlist_value.values)
    for scalar in (value.string_value, value.int_value, value.double_value, value.bool_value, value.bytes_value):
        if scalar is not None:
            return scalar
    return None
