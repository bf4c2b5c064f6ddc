"""Text as UTF-8 can hold it."""

from __future__ import annotations


def encodable(text: str) -> str:
    """Write with backslashes what UTF-8 has no bytes for, as in a file name of another encoding."""
    return text.encode("utf-8", "backslashreplace").decode()
