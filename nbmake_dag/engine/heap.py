"""The collection of garbage, put off where a heap grows in which nothing is garbage."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def growing_heap() -> Generator[None]:
    """Let no collection go through all that was made so far, again and again, while more is made.

    It is for work that leaves what it makes; what is garbage by count of references goes as ever.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
