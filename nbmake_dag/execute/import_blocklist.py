"""Block optional imports that slow down nbformat and jupytext; each process of ours does so before all else."""

from __future__ import annotations

import sys
from typing import Any, cast

_OF_NO_USE = (
    # jsonschema, which checks notebooks, imports them for formats no notebook has; the last takes a second
    "isoduration",
    "rfc3986_validator",
    "rfc3987_syntax",
    # jupytext has them for Jupyter's server, and imports that server
    "jupytext.async_contentsmanager",
    "jupytext.sync_contentsmanager",
)


def stay_light() -> None:
    """Let these modules not be found; only for processes of ours, in which no code of users runs."""
    for name in _OF_NO_USE:
        cast("dict[str, Any]", sys.modules).setdefault(name, None)
