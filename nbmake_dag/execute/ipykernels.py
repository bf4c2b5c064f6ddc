"""Which kernels are ipykernels started in the usual way: those can be forked."""

from __future__ import annotations

import re
from collections.abc import Sequence

_USUAL = re.compile(r"\S+( -Xfrozen_modules=off)? -m ipykernel(_launcher)? -f \{connection_file\}")


def is_ipykernel(argv: Sequence[str]) -> bool:
    """Say so of a kernelspec's command."""
    return bool(_USUAL.fullmatch(" ".join(argv)))
