"""The append-only file that everything logged goes to, one line of JSON and one ``write`` for each record."""

from __future__ import annotations

import errno
import json
import os

from nbmake_dag.inside.given import given

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_open: tuple[str, int] | None = None


def append(record: dict[str, object]) -> None:
    """Log a record."""
    append_line(_encode(record))


def append_line(text: str) -> None:
    """Log a line of JSON. It has left the process when this returns, so it survives a crash.

    Outside a run the line is checked the same way, and dropped.
    """
    line = f"{text}\n".encode()
    path = given("NBDAG_LOG")
    if not path:
        return
    if os.write(_descriptor(path), line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def checked_text(what: str, text: str) -> str:
    """Return a text that can be logged; raises `ValueError`, which says ``what`` it is."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} has a lone surrogate, which UTF-8 cannot hold: {text[:80]!r}") from None
    return text


def append_to(path: str, records: list[dict[str, object]]) -> None:
    """Append records to a file that is rarely written."""
    if records:
        descriptor = _open_for_append(path)
        try:
            os.write(descriptor, "".join(f"{_encode(record)}\n" for record in records).encode(errors="replace"))
        finally:
            os.close(descriptor)


def close() -> None:
    """Let go of the file, if it is open; the next record opens that of the environment."""
    global _open  # noqa: PLW0603  # one file for the whole process
    if _open is not None:
        os.close(_open[1])
        _open = None


def _descriptor(path: str) -> int:
    global _open  # noqa: PLW0603  # one file for the whole process
    if _open is None or _open[0] != path:
        _open = (path, _open_for_append(path))
    return _open[1]


def _open_for_append(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
