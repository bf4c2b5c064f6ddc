"""Safe file names for names that notebooks choose: they never lead out of their folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

_UNSAFE = re.compile(r"[^\w .,=+@()\[\]-]")
_NOT_NAMES = re.compile(r"\.*")
_LONGEST = 180
"""Bytes; file systems allow 255."""


def safe_name(name: str) -> str:
    """Write any text as the name of one file; plain names stay as they are."""
    quoted = "%" + name.encode().hex() if _NOT_NAMES.fullmatch(name) else _UNSAFE.sub(_quoted, name)
    encoded = quoted.encode()
    if len(encoded) <= _LONGEST:
        return quoted
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return f"{encoded[:_LONGEST].decode('utf-8', 'ignore')}~{digest}"


def safe_folders(names: Iterable[str]) -> dict[str, str]:
    """Assign each name a folder of its own."""
    return _distinct({name: safe_name(name) for name in names})


def safe_paths(names: Iterable[str]) -> dict[str, str]:
    """Assign each name, whose slashes make folders, a relative path of its own."""
    return _distinct(
        {name: "/".join(safe_name(part) for part in name.split("/") if part) or safe_name("") for name in names}
    )


def _distinct(wanted: Mapping[str, str]) -> dict[str, str]:
    """Add a number to what would be the same file twice, or a file and a folder at once."""
    files: set[str] = set()
    folders: set[str] = set()
    paths: dict[str, str] = {}
    for name in sorted(wanted):
        path, number = wanted[name], 1
        while path.casefold() in files | folders or files.intersection(_above(path)):
            number += 1
            path = f"{number}~{wanted[name]}"
        files.add(path.casefold())
        folders.update(_above(path))
        paths[name] = path
    return paths


def _above(path: str) -> list[str]:
    parts = path.casefold().split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _quoted(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "backslashreplace"))
