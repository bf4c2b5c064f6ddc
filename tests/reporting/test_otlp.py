"""OTLP/JSON lines: what is written is read back, and the text is what the specification asks for."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag_reporting.names import below, escape, unescape
from nbmake_dag_reporting.otlp import DamagedLineError, decode_line, encode_line
from nbmake_dag_reporting.spans import Link, Resource, Span, SpanEvent, attribute_text, attribute_value

SURROGATES = st.characters(codec=None, categories=["L", "N", "P", "Cs", "Cc", "So"])
ANY_TEXT = st.text(SURROGATES)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3)
)

SPAN = Span(
    trace_id="53b8142da6c9a59063b150203f3f4536",
    span_id="e7b7e1655e178c04",
    parent_id="56ec404c69bb52e7",
    name="evaluate",
    start=1795375394775151030,
    end=1795375396114283654,
    attributes={"lr": 0.5, "n": 3, "big": 2**63 - 1, "ok": True, "bad": math.nan, "high": math.inf, "l": [1, "a"]},
    events=(SpanEvent(name="exception", time=5, attributes={"exception.type": "ValueError"}),),
    links=(Link(trace_id="ab" * 16, span_id="cd" * 8, attributes={"nbdag.link.type": "depends_on"}),),
    error="boom",
)


def same(left: object, right: object) -> bool:
    """Compare with ``nan == nan``, and ``1 != 1.0 != True``."""
    return repr(left) == repr(right)


def test_a_line_is_one_traces_data_document_as_the_specification_spells_it() -> None:
    """Camel case, hexadecimal identifiers, enums as numbers, 64-bit integers as text, NaN and Infinity as text."""
    line = encode_line(Resource(attributes={"service.name": "nbdag"}, version="0.1.0"), [SPAN])
    schema_url = "https://opentelemetry.io/schemas/1.44.0"
    expected = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "nbdag"}}]},
                "schemaUrl": schema_url,
                "scopeSpans": [
                    {
                        "scope": {"name": "nbdag", "version": "0.1.0"},
                        "schemaUrl": schema_url,
                        "spans": [
                            {
                                "traceId": "53b8142da6c9a59063b150203f3f4536",
                                "spanId": "e7b7e1655e178c04",
                                "parentSpanId": "56ec404c69bb52e7",
                                "startTimeUnixNano": "1795375394775151030",
                                "endTimeUnixNano": "1795375396114283654",
                                "name": "evaluate",
                                "kind": 1,
                                "attributes": [
                                    {"key": "lr", "value": {"doubleValue": 0.5}},
                                    {"key": "n", "value": {"intValue": "3"}},
                                    {"key": "big", "value": {"intValue": "9223372036854775807"}},
                                    {"key": "ok", "value": {"boolValue": True}},
                                    {"key": "bad", "value": {"doubleValue": "NaN"}},
                                    {"key": "high", "value": {"doubleValue": "Infinity"}},
                                    {
                                        "key": "l",
                                        "value": {
                                            "arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "a"}]}
                                        },
                                    },
                                ],
                                "events": [
                                    {
                                        "timeUnixNano": "5",
                                        "name": "exception",
                                        "attributes": [
                                            {"key": "exception.type", "value": {"stringValue": "ValueError"}}
                                        ],
                                    }
                                ],
                                "links": [
                                    {
                                        "traceId": "ab" * 16,
                                        "spanId": "cd" * 8,
                                        "attributes": [
                                            {"key": "nbdag.link.type", "value": {"stringValue": "depends_on"}}
                                        ],
                                    }
                                ],
                                "status": {"code": 2, "message": "boom"},
                            }
                        ],
                    }
                ],
            }
        ]
    }
    assert json.loads(line) == expected
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


def test_a_span_without_an_error_leaves_its_status_unset() -> None:
    """The conventions want no OK."""
    line = encode_line(Resource(), [Span(trace_id="ab" * 16, span_id="cd" * 8, name="x", start=1, end=2)])
    assert b'"status":{}' in line


@given(st.dictionaries(ANY_TEXT, VALUES, max_size=5), ANY_TEXT)
def test_any_value_survives_writing_and_reading(values: dict[str, object], text: str) -> None:
    """What `attribute_value` gives is read back with its type, through any nesting."""
    attributes = {attribute_text(key): attribute_value(value) for key, value in values.items()}
    span = Span(
        trace_id="ab" * 16,
        span_id="cd" * 8,
        name=attribute_text(text),
        start=0,
        end=2**63 - 1,
        attributes=attributes,
        events=(SpanEvent(name="e", time=1, attributes=attributes),),
        error=attribute_text(text),
    )
    resource = Resource(attributes=attributes, version="1")
    assert same(decode_line(encode_line(resource, [span, span])), (resource, (span, span)))


def test_integers_beyond_64_bits_are_kept_as_text() -> None:
    """OTLP has no larger ones, and a wrong number would be worse than a text."""
    values = [2**63 - 1, -(2**63), 2**63, -(2**63) - 1]
    assert attribute_value(values) == [2**63 - 1, -(2**63), "9223372036854775808", "-9223372036854775809"]


def test_more_than_128_attributes_are_all_kept() -> None:
    """The limit of SDKs, which drop the oldest, is not ours."""
    attributes = {f"nbdag.param.p{number}": number for number in range(1000)}
    span = Span(trace_id="ab" * 16, span_id="cd" * 8, name="x", start=1, end=2, attributes=attributes)
    assert decode_line(encode_line(Resource(), [span]))[1][0].attributes == attributes


def test_lines_of_other_writers_are_read() -> None:
    """Numbers as numbers, upper-case identifiers, unknown fields and missing ones."""
    line = b"""{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"ABABABABABABABABABABABABABABABAB",
    "spanId":"CDCDCDCDCDCDCDCD","startTimeUnixNano":7,"endTimeUnixNano":"8","flags":257,"kind":3,
    "attributes":[{"key":"n","value":{"intValue":3}},{"key":"f","value":{"doubleValue":1}}]}]}]}]}"""
    _, (span,) = decode_line(line)
    assert same(
        span,
        Span(
            trace_id="ab" * 16,
            span_id="cd" * 8,
            name="",
            start=7,
            end=8,
            attributes={"n": 3, "f": 1.0},
            error=None,
        ),
    )


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff\xfe", b'{"resourceSpans":[]}', b'{"resourceSpans":7}'])
def test_what_is_no_such_line_is_refused(line: bytes) -> None:
    """Damage has one name."""
    with pytest.raises(DamagedLineError):
        decode_line(line)


@given(st.lists(ANY_TEXT, unique=True))
def test_names_of_any_shape_are_distinct_keys_and_none_is_above_another(names: list[str]) -> None:
    """Escaping is reversible, gives text that UTF-8 can hold, and adds no level to a key."""
    keys = {f"nbdag.metric.{escape(name)}".encode().decode(): 1.0 for name in names}
    assert list(below(keys, "nbdag.metric.")) == names
    assert not any(other.startswith(f"{key}.") for key in keys for other in keys)
    assert [unescape(escape(name)) for name in names] == names


def test_ordinary_names_stay_readable() -> None:
    """Only dots, percent signs, lone surrogates and emptiness are escaped."""
    assert [escape(name) for name in ("loss", "val/loss", "größe", "loss.val", "90%", "")] == [
        "loss",
        "val/loss",
        "größe",
        "loss%2Eval",
        "90%25",
        "%",
    ]
