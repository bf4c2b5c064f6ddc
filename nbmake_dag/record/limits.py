"""Limits on the size of a span; text that is cut off is kept as a blob.

A span is read whole by everybody who looks at a run, and goes to collectors that refuse large ones. So a value in
it is at most `TEXT_LIMIT` long, and a span about `SPAN_LIMIT`. A longer text states how much of it is missing.
Beside it ``nbdag.cut.<name>`` names the blob of the whole value. What has no room even so (the last of a hundred
thousand metrics) is left out, and ``nbdag.left_out`` is the blob of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.otlp import encode_attributes
from nbmake_dag_reporting.spans import AttributeValue, Span, SpanEvent

TEXT_LIMIT = 32 << 10
"""Characters of one value; a tenth of them are its last ones, because a traceback ends with what happened."""
SPAN_LIMIT = 4 << 20
"""Bytes of one span, about."""
_ITEM = 128
"""Bytes that an attribute, an event or an item of a list takes beside its text, about."""

Keep: TypeAlias = Callable[[bytes], str]
"""Stores bytes as a blob and returns its digest."""


def bounded(span: Span, keep: Keep) -> Span:
    """Return the span within the limits; nearly every span is so already, and is returned as it is."""
    if sum(map(_size, (span.attributes, *(event.attributes for event in span.events)))) < TEXT_LIMIT:
        return span
    return _Limited(keep).span(span)


def bounded_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """Cut the middle out of a text that is too long, and state how much is missing."""
    if len(text) <= limit:
        return text
    tail = limit // 10
    head = limit - tail
    return f"{text[:head]}\n… {len(text) - limit:,} characters are left out here …\n{text[-tail:]}"


class _Limited:
    """One span that is too large; ``left`` is the room that it still has."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._left = SPAN_LIMIT

    def span(self, span: Span) -> Span:
        attributes, without = self._attributes(span.attributes)
        events: list[SpanEvent] = []
        for event in span.events:
            kept, cut = self._attributes(event.attributes)
            if cut:
                without[f"{event.name} {len(events)}"] = event.attributes
            else:
                events.append(replace(event, attributes=kept))
        if without:
            attributes[schema.LEFT_OUT] = self._keep(encode_attributes(without))
        error = span.error and bounded_text(span.error)
        return replace(span, attributes=attributes, events=tuple(events), error=error)

    def _attributes(
        self, attributes: Mapping[str, AttributeValue]
    ) -> tuple[dict[str, AttributeValue], dict[str, AttributeValue]]:
        """Return what is kept, and what there is no room for."""
        kept: dict[str, AttributeValue] = {}
        without: dict[str, AttributeValue] = {}
        for name, value in attributes.items():
            size = _size(value)
            room = self._left - _ITEM - len(name)
            if room < 0 or len(name) > TEXT_LIMIT:
                without[name] = value
            elif size <= min(room, TEXT_LIMIT):
                kept[name] = value
                self._left = room - size
            else:
                kept[name] = short = _cut(value, max(min(room, TEXT_LIMIT), _ITEM))
                kept[schema.CUT + name] = self._keep(_whole(name, value))
                self._left = room - _size(short) - _ITEM - len(name)
        return kept, without


def _size(value: AttributeValue) -> int:
    match value:
        case str() | bytes():
            return len(value)
        case None | bool() | int() | float():
            return 0
        case Mapping():
            return sum(_ITEM + len(name) + _size(item) for name, item in value.items())
        case _:
            return sum(_ITEM + _size(item) for item in value)


def _cut(value: AttributeValue, limit: int) -> AttributeValue:
    """Return the beginning of a list, and of anything else its text, cut."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items: list[AttributeValue] = []
        for item in value:
            limit -= _ITEM + _size(item)
            if limit < 0:
                break
            items.append(item)
        return items
    return bounded_text(value if isinstance(value, str) else _whole("", value).decode(), limit)


def _whole(name: str, value: AttributeValue) -> bytes:
    return value.encode() if isinstance(value, str) else encode_attributes({name: value})
