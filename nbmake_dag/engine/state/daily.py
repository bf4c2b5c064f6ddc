"""The day of the last look at whether runs and cache hold too much: the time of an empty file."""

from __future__ import annotations

import os
import time

from nbmake_dag.observe.project import Project
from nbmake_dag.observe.state_file import is_no_file, put_aside

_DAY_S = 86_400.0


def is_look_due(project: Project) -> bool:
    """Return whether the last look is more than a day ago."""
    try:
        return os.lstat(_stamp(project)).st_mtime < time.time() - _DAY_S
    except FileNotFoundError:
        return True


def note_look(project: Project) -> None:
    """Let the next look be due in a day."""
    stamp = _stamp(project)
    if os.path.lexists(stamp) and is_no_file(stamp):
        put_aside(stamp)
    with open(stamp, "wb"):
        os.utime(stamp)


def _stamp(project: Project) -> str:
    return os.path.join(project.state, "swept")
