"""Text made encodable as UTF-8: names of files, messages and parameters, in all packages alike."""

from __future__ import annotations


def encodable(text: str) -> str:
    """Write with backslashes what UTF-8 has no bytes for, as in a file name of another encoding."""
    return text.encode("utf-8", "backslashreplace").decode()
