"""Which files are the user's: those of the repository, but for git's, nbdag's and its software's."""

from __future__ import annotations

import os
import sys

_NOT_THE_USERS = ("/.git/", "/.nbdag/", "/__pycache__/")


class Repository:
    """The repository that the running work belongs to."""

    def __init__(self, path: str) -> None:
        root, real = f"{path.rstrip('/')}/", f"{os.path.realpath(path).rstrip('/')}/"
        self.prefixes = tuple({root, real})
        """What the path of a local file starts with: as nbdag calls the repository, and without symlinks."""
        self._root, self._real = root, real
        ours = os.path.dirname(os.path.dirname(__file__))
        folders = {f"{os.path.abspath(path)}/" for path in (ours, sys.prefix, sys.exec_prefix, sys.base_prefix)}
        self._software = tuple(path for path in folders if path not in self.prefixes)

    def locate(self, path: str) -> str | None:
        """Return the absolute path of a file of the user's as nbdag calls it; ``None`` for all others."""
        path = os.path.abspath(path)
        if not path.startswith(self.prefixes) or path.startswith(self._software):
            return None
        if not path.startswith(self._root):
            path = self._root + path[len(self._real) :]
        below = f"/{path[len(self._root) :]}/"
        return None if any(name in below for name in _NOT_THE_USERS) else path
