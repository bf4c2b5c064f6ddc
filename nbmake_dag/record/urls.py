"""The addresses of runs and tasks, for attributes that have to be URLs."""

from __future__ import annotations

import os

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def run_url(directory: str) -> str:
    """Give the address of a run's folder."""
    return f"file://{quote(os.path.abspath(directory))}/"


def task_url(run: str, task: str) -> str:
    """Give the address of a task below that of its run, which is a folder's or a CI job's page."""
    return f"{run}#{quote(task)}"


def quote(text: str) -> str:
    """Percent-encode all but unreserved characters and ``/``; without urllib, whose import costs milliseconds."""
    return "".join(
        chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape")
    )
