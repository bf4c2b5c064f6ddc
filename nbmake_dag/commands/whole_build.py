"""`nbdag build` and nothing else, the command that is given most: without what reads options."""

from __future__ import annotations

import sys

from nbmake_dag.build.request import Request
from nbmake_dag.build.run import build
from nbmake_dag.observe.project import find_project
from nbmake_dag.progress.display import make_display


def build_all() -> int:
    """Bring everything up to date; returns the exit code."""
    display = make_display("auto", sys.stderr)
    try:
        outcome = build(find_project(), Request(), (display,), waiting=display.said)
    finally:
        display.close()
    return outcome.exit_code
