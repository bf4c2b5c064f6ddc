"""Substitution of ``{name}`` in paths and commands by the value of a parameter."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Mapping

from nbmake_dag.config.values import plain
from nbmake_dag.core.globs import escaped, unescaped
from nbmake_dag.core.model import Value

FIELD = re.compile(r"\{([^{}]*)\}")
"""A name in braces, or what stands in its place."""
_NAME = re.compile(r"\{([^\W\d]\w*)\}")


class UnknownNameError(ValueError):
    """A path uses a name that no parameter has."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def names_in(text: str) -> frozenset[str]:
    """Return what could be names of parameters in a path or in a piece of a command."""
    return frozenset(_NAME.findall(text)) if "{" in text else frozenset()


def fill_path(template: str, values: Mapping[str, Value]) -> str:
    """Replace each ``{name}`` by its value, spelled as in the names of instances, but strings as they are.

    Raises `UnknownNameError`, also for braces around anything else, such as ``{name.attribute}`` or ``{name:>3}``.
    """
    if "{" not in template and "}" not in template:
        return template

    def spelled(field: re.Match[str]) -> str:
        if field[1] not in values:
            raise UnknownNameError(field[1])
        return plain(values[field[1]])

    bare = FIELD.sub("", template)
    if "{" in bare or "}" in bare:
        raise UnknownNameError("")
    return FIELD.sub(spelled, template)


def fill_known(template: str, values: Mapping[str, Value]) -> str:
    """Replace the ``{name}``s of a path that have a value, as `fill_path` does; others stay."""
    return FIELD.sub(lambda field: plain(values[field[1]]) if field[1] in values else field[0], template)


def path_glob(template: str, values: Mapping[str, Value]) -> str:
    """Return a glob of all paths that a template can become.

    Of the values that are known only those count that have a slash, which a wildcard does not match.
    """

    def piece(number: int, text: str) -> str:
        value = values.get(text) if number % 2 else text
        is_fixed = number % 2 == 0 or (isinstance(value, str) and "/" in value)
        return escaped(unescaped(str(value))) if is_fixed else "*"

    return "".join(itertools.starmap(piece, enumerate(FIELD.split(template))))


def fill_command(command: list[str] | str, values: Mapping[str, Value]) -> tuple[str, ...] | str:
    """Replace known ``{name}``s: quoted for the shell in a string, as they are in a list; other braces stay."""
    if isinstance(command, str):
        return _NAME.sub(
            lambda field: shlex.quote(plain(values[field[1]])) if field[1] in values else field[0], command
        )
    return tuple(
        _NAME.sub(lambda field: plain(values[field[1]]) if field[1] in values else field[0], argument)
        for argument in command
    )
