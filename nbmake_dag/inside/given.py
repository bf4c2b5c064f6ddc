"""The variables that describe an attempt to the process of its work, as they were when it began.

The work may clear or replace its environment. What it logs, reads, imports and starts counts all the same.
"""

from __future__ import annotations

import os

_kept: dict[str, str] | None = None


def keep() -> None:
    """Keep the variables that this process has now."""
    global _kept  # noqa: PLW0603  # one attempt for each process
    _kept = {name: value for name, value in os.environ.items() if name.startswith("NBDAG_")}


def given(name: str) -> str:
    """Return a variable of the attempt, empty outside of one.

    A process that the work started by itself has no others than its environment's.
    """
    return (os.environ if _kept is None else _kept).get(name, "")
