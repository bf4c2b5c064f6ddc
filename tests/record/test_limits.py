"""What a span holds is bounded, and what was cut off is kept."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from nbmake_dag.record.limits import SPAN_LIMIT, TEXT_LIMIT, bounded, bounded_text
from nbmake_dag_reporting.otlp import decode_line, encode_resource, encode_span, wrap
from nbmake_dag_reporting.spans import Attributes, AttributeValue, Resource, Span, SpanEvent
from tests.support.examples import examples


class Store(dict[str, bytes]):
    """The blobs, by digest."""

    def keep(self, value: bytes) -> str:
        digest = hashlib.sha256(value).hexdigest()
        self[digest] = value
        return digest

    def attributes(self, digest: AttributeValue) -> Attributes:
        written = b'{"traceId":"%b","spanId":"%b","attributes":%b}' % (b"ab" * 16, b"cd" * 8, self[str(digest)])
        _, (read,) = decode_line(wrap(encode_resource(Resource()), written))
        return read.attributes


def span(attributes: Attributes, *events: Attributes, error: str | None = None) -> Span:
    return Span(
        trace_id="ab" * 16,
        span_id="cd" * 8,
        name="train",
        start=1,
        end=2,
        attributes=attributes,
        events=tuple(SpanEvent(name="exception", time=2, attributes=event) for event in events),
        error=error,
    )


def test_a_long_exception_is_cut_in_its_middle_and_kept_as_a_blob():
    """The cell of 30 MB is a few kilobytes in the trace: its beginning, its end, and where the rest is."""
    store = Store()
    message = "first " + "z" * 30_000_000 + " last"
    got = bounded(span({"error.type": "ValueError"}, {"exception.message": message}, error=message), store.keep)
    (event,) = got.events
    shown = event.attributes["exception.message"]
    assert isinstance(shown, str)
    assert shown.startswith("first ")
    assert shown.endswith(" last")
    assert f"{len(message) - TEXT_LIMIT:,} characters are left out here" in shown
    assert got.error == shown
    assert store[str(event.attributes["nbdag.cut.exception.message"])] == message.encode()
    assert len(encode_span(got)) < 4 * TEXT_LIMIT


def test_an_ordinary_span_is_returned_as_it_is():
    """Nothing is stored for it."""
    store = Store()
    ordinary = span({"nbdag.param.n": 600}, {"exception.message": "no"}, error="no")
    assert bounded(ordinary, store.keep) is ordinary
    assert not store


def test_what_there_is_no_room_for_is_one_blob():
    """A hundred thousand metrics do not make a span of ten megabytes, and none is lost."""
    store = Store()
    metrics = {f"nbdag.metric.{number}": float(number) for number in range(100_000)}
    got = bounded(span(metrics), store.keep)
    rest = store.attributes(got.attributes["nbdag.left_out"])
    assert {**rest, **{name: got.attributes[name] for name in got.attributes if name in metrics}} == metrics
    assert len(encode_span(got)) < 2 * SPAN_LIMIT


def test_a_long_list_is_its_beginning():
    """It stays a list, so that whoever reads it need not know of limits."""
    store = Store()
    paths = [f"data/{number}.csv" for number in range(50_000)]
    got = bounded(span({"nbdag.undeclared.reads": paths}), store.keep)
    kept = got.attributes["nbdag.undeclared.reads"]
    assert isinstance(kept, list)
    assert kept == paths[: len(kept)]
    assert kept
    assert store.attributes(got.attributes["nbdag.cut.nbdag.undeclared.reads"]) == {
        "nbdag.undeclared.reads": paths
    }


_LONG = {"<a>": "a" * TEXT_LIMIT, "<b>": "b" * (TEXT_LIMIT + 1), "<c>": "c" * SPAN_LIMIT}
_text = st.sampled_from(sorted(_LONG)) | st.text(max_size=9)
_value: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def _long(value: Any) -> Any:
    match value:
        case str():
            return _LONG.get(value, value)
        case dict():
            return {_long(name): _long(item) for name, item in value.items()}
        case list():
            return [_long(item) for item in value]
        case _:
            return value


@examples(60, HealthCheck.too_slow, HealthCheck.data_too_large)
@given(drawn=st.dictionaries(_text, _value, max_size=9))
def test_any_span_is_bounded_and_nothing_of_it_is_lost(drawn: dict[str, Any]):
    """Each value is there, or its blob is, or it is in the blob of what is left out."""
    attributes = _long(drawn)
    store = Store()
    got = bounded(span(attributes), store.keep)
    assert len(encode_span(got)) < 2 * SPAN_LIMIT
    rest = store.attributes(got.attributes["nbdag.left_out"]) if "nbdag.left_out" in got.attributes else {}
    for name, value in attributes.items():
        if name in rest:
            assert rest[name] == value
        elif "nbdag.cut." + name in got.attributes:
            cut = got.attributes["nbdag.cut." + name]
            assert (store[str(cut)].decode() if isinstance(value, str) else store.attributes(cut)[name]) == value
        else:
            assert got.attributes[name] == value


def test_a_short_text_is_not_cut():
    """The limit itself is still whole."""
    assert bounded_text("x" * TEXT_LIMIT) == "x" * TEXT_LIMIT
