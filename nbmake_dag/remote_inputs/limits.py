"""What a download may cost, what it gives, and the error that says why there is none."""

from __future__ import annotations

import msgspec

_LONGEST = 400


class DownloadError(Exception):
    """A file could not be fetched; the message gives the reason, as one line of a terminal.

    What a server or a library said may be in it.
    """

    def __init__(self, why: str) -> None:
        why = why if len(why) <= _LONGEST else f"{why[:_LONGEST]}…"
        super().__init__(why if why.isprintable() else repr(why)[1:-1])


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    ask: float = 10.0
    """In which all servers must have answered."""
    connect: float = 5.0
    read: float = 10.0
    """Between two pieces."""
    rate: float = 1000.0
    """Bytes per second that a download must reach, over each ``window``."""
    window: float = 30.0


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """A downloaded file at a temporary path, and what the server said of its version."""

    path: str
    etag: str | None
    modified: str | None = None
