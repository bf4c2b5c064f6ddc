"""Identifiers of runs, traces and spans, their addresses, and the ``traceparent`` that other processes get."""

from __future__ import annotations

import os
import re
import time

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

_RESERVED = re.compile(rb"[^A-Za-z0-9._~/-]")


def new_trace_id() -> str:
    """Draw 32 hexadecimal digits, not all zero."""
    return os.urandom(15).hex() + "01"


def new_run_id(started: int, trace_id: str) -> str:
    """Name a run so that names sort by time, which is in UTC: ``20260131-235959-123-a1b2c3``."""
    seconds, rest = divmod(started, 1_000_000_000)
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds))
    return f"{moment}-{rest // 1_000_000:03}-{trace_id[:6]}"


def format_traceparent(trace_id: str, span_id: str) -> str:
    """Write the W3C form of a sampled parent."""
    return f"00-{trace_id}-{span_id}-01"


def parse_traceparent(text: str) -> tuple[str, str] | None:
    """Read a trace and a span from the W3C form; what is not of that form is ``None``."""
    match = _TRACEPARENT.fullmatch(text.strip())
    return (match[1], match[2]) if match else None


class SpanIds:
    """Draws span identifiers that are unique in their trace: random digits, then a number."""

    def __init__(self) -> None:
        self._prefix = new_prefix()
        self._last = 0

    def new(self) -> str:
        self._last += 1
        return f"{self._prefix}{self._last:08x}"


def new_prefix() -> str:
    """Draw the first eight digits of span identifiers."""
    return os.urandom(4).hex()


def run_url(directory: str) -> str:
    """Return the address of a run's folder, for an attribute that has to be a URL."""
    return f"file://{_quote(os.path.abspath(directory))}/"


def task_url(run: str, task: str) -> str:
    """Return the address of a task below that of its run, which is a folder's or a CI job's page."""
    return f"{run}#{_quote(task)}"


def _quote(text: str) -> str:
    """Percent-encode all but unreserved characters and ``/``; without urllib, whose import costs milliseconds."""
    encoded = text.encode("utf-8", "surrogateescape")
    return _RESERVED.sub(lambda match: b"%%%02X" % match[0][0], encoded).decode()
