"""The environment variables that decide a result or what a name means, noted as they are read.

Whatever looks at the machine reads variables here and nowhere else. What was noted is what the no-op check
compares, so an ingredient that comes from a variable cannot be forgotten there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbmake_dag_cache.digest import digest_text


class Variables:
    """The driver's environment, captured once.

    ``environ`` is the whole of it, to be handed on to tasks; what decides something is read with `get`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._noted: dict[str, None] = {}

    def get(self, name: str) -> str | None:
        """Return a variable's value, ``None`` if it is not set, and note that it decides something."""
        self._noted[name] = None
        return self.environ.get(name)

    def digest(self, name: str) -> str | None:
        """Return the digest of a variable's value, ``None`` if it is not set."""
        return digest_variable(self.get(name))

    def fingerprint(self, names: Iterable[str]) -> str:
        """Write several variables as one text, in which one that is not set differs from one that is empty."""
        return "\0".join(f"{name} {self.digest(name)}" for name in names)

    def noted(self) -> dict[str, str | None]:
        """Return the digests of all that were read."""
        return {name: digest_variable(self.environ.get(name)) for name in self._noted}


def digest_variable(value: str | None) -> str | None:
    """Return the digest of a value as `Variables.noted` has it."""
    return None if value is None else digest_text(value)
