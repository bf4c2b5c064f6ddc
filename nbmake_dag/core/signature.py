"""What a notebook or a function can be given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What the parameters cell of a notebook assigns, or what a function's signature names.

    ``names`` is ``None`` where that is not known, as for kernels of other languages: everything declared
    reaches it. ``takes_any``: the function has ``**kwargs``, so that all of its task's own parameters reach it.
    """

    names: frozenset[str] | None = None
    takes_any: bool = False
    assigns_inputs: bool = False
    assigns_outputs: bool = False
