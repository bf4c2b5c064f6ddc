"""The folder of the user's cache: shared by all projects, and removed without loss while nothing runs."""

from __future__ import annotations

import os


def user_cache(*names: str) -> str:
    """Return the path of something in it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # a relative one is to be ignored, as the specification of these folders says
    base = base if os.path.isabs(base) else os.path.abspath(os.path.expanduser("~/.cache"))
    return os.path.join(base, "nbdag", *names)
