"""Keeps nbformat light: jsonschema, which checks notebooks for it, builds a grammar of IRIs where it finds one.

That takes a second, wherever Jupyter's server is installed, and no notebook has an IRI to be checked.
"""

from __future__ import annotations

import sys
from typing import Any, cast

_GRAMMAR = "rfc3987_syntax"


def leave_out_grammar() -> None:
    """Let jsonschema find no grammar; only for processes of ours, in which no code of users runs."""
    cast("dict[str, Any]", sys.modules).setdefault(_GRAMMAR, None)
