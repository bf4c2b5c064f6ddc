"""The values that a trace is made of; identifiers are hexadecimal text, times are nanoseconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | Sequence[AttributeValue] | Mapping[str, AttributeValue] | None"
)
Attributes: TypeAlias = Mapping[str, AttributeValue]
Kind: TypeAlias = Literal["internal", "server"]

_INT64 = 1 << 63


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A pointer from a span to another one, of this trace or of an older one."""

    trace_id: str
    span_id: str
    attributes: Attributes = {}


class SpanEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at a moment within a span."""

    name: str
    time: int
    attributes: Attributes = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One timed step of a run. ``error`` describes an error status; ``None`` leaves the status unset."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    name: str
    kind: Kind = "internal"
    start: int
    end: int
    attributes: Attributes = {}
    events: tuple[SpanEvent, ...] = ()
    links: tuple[Link, ...] = ()
    error: str | None = None


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What every span of a run shares: the program, the pipeline, the machine, the commit."""

    attributes: Attributes = {}
    scope: str = "nbdag"
    version: str = ""


def attribute_value(value: object) -> AttributeValue:
    """Turn any value of TOML or Python into one that every encoding of a span can hold.

    Integers beyond 64 bits become text, and so do all other objects.
    """
    match value:
        case None | bool() | float() | bytes():
            return value
        case int():
            return value if -_INT64 <= value < _INT64 else str(value)
        case str():
            return attribute_text(value)
        case Mapping():
            return {attribute_text(str(key)): attribute_value(item) for key, item in value.items()}
        case list() | tuple():
            return [attribute_value(item) for item in value]
        case _:
            return attribute_text(str(value))


def attribute_text(text: str) -> str:
    """Write lone surrogates, which UTF-8 cannot hold, as their escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
