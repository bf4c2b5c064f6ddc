"""Remove details of the machine from what is published."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.spans import Attributes, Resource

Scrub: TypeAlias = Callable[[str], str]

_TOP = (
    "Applications|Library|Users|Volumes|__w|app|bin|boot|builds|cygdrive|data|dev|etc|github|home|lib|lib64|media|"
    "mnt|nix|opt|private|proc|root|run|scratch|srv|sys|tmp|usr|var|work|workdir|workspace|workspaces"
)
_PATH = re.compile(rf"(?<![\w./~@:-])(?:file://)?/(?:{_TOP})(?:/[\w.@+~%=,-]+)*(?:/(?=[\s'\"<>)\]]|$))?")
_PACKAGE = re.compile(r".*/(?:site|dist)-packages/")


def keep(text: str) -> str:
    """Publish a text as it is."""
    return text


def scrubber(root: str | None) -> Scrub:
    """Make what shortens absolute paths: those below a root lose it, others keep their last part."""
    below = re.compile(rf"(?:file://)?{re.escape(root)}(?:/|(?![\w.-]))") if root else None

    def scrub(text: str) -> str:
        if "/" not in text:
            return text
        return _PATH.sub(_shorten, below.sub(_relative, text) if below else text)

    return scrub


def scrub_value(value: Any, scrub: Scrub) -> Any:
    """Scrub all texts of a JSON value, the names in it included."""
    match value:
        case str():
            return scrub(value)
        case list():
            return [scrub_value(item, scrub) for item in value]
        case dict():
            return {scrub(key): scrub_value(item, scrub) for key, item in value.items()}
        case _:
            return value


def public(resource: Resource) -> Attributes:
    """Leave out the attributes that are private, and those that no row of the contract describes."""
    rows = {name: schema.find(name) for name in resource.attributes}
    return {
        name: value
        for name, value in resource.attributes.items()
        if (row := rows[name]) is not None and row.privacy == "public"
    }


def _relative(match: re.Match[str]) -> str:
    return "" if match[0].endswith("/") else "."


def _shorten(match: re.Match[str]) -> str:
    path = match[0]
    if package := _PACKAGE.match(path):
        return path[package.end() :]
    last = path.rstrip("/").rpartition("/")[2]
    return f"…/{last}"
