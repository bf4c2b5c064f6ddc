"""The files that tools drop into folders: no folder and no glob of inputs holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

from nbmake_dag.core.globs import matches

DEFAULT = (
    "__pycache__/",
    "*.py[co]",
    ".ipynb_checkpoints/",
    ".virtual_documents/",
    ".git/",
    ".DS_Store",
    "._*",
    "Thumbs.db",
    "desktop.ini",
    ".directory",
    ".nfs*",
    "*~",
    ".*.sw[a-p]",
    ".#*",
    "#*#",
)
"""Python's, Jupyter's, git's, the desktops' and the editors' own."""


class Ignored:
    """Patterns in their order: the last that matches decides, and one that begins with ``!`` takes back.

    A pattern without a slash inside matches a name in any folder; another is a glob over the whole path. With a
    slash at its end it matches folders, and so all that is in them.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._rules = tuple(reversed([_Rule(pattern) for pattern in (*DEFAULT, *patterns)]))
        names = [rule.name for rule in self._rules if rule.name is not None]
        self._any_name = re.compile("|".join(names))
        self._has_paths = len(names) < len(self._rules)

    def __contains__(self, path: str) -> bool:
        """Return whether a path is left out; that of a folder ends with a slash."""
        bare = path.rstrip("/")
        name = bare.rpartition("/")[2]
        if not self._has_paths and not self._any_name.match(name):
            return False
        is_folder = path.endswith("/")
        return next((not rule.takes_back for rule in self._rules if rule.matches(bare, name, is_folder)), False)


class _Rule:
    """One pattern; ``name`` is the regular expression of a name, ``None`` for a pattern over whole paths."""

    def __init__(self, pattern: str) -> None:
        self.takes_back = pattern.startswith("!")
        text = pattern.removeprefix("!")
        self._folders_only = text.endswith("/")
        self._glob = text.strip("/")
        self.name = None if "/" in text.rstrip("/") else translate(self._glob)

    def matches(self, path: str, name: str, is_folder: bool) -> bool:  # noqa: FBT001 - called for every file
        if self._folders_only and not is_folder:
            return False
        return matches(self._glob, path) if self.name is None else re.match(self.name, name) is not None
