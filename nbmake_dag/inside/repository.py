"""The user's files: those of the repository, except files of git, nbdag and installed software."""

from __future__ import annotations

import os
import sys

_NOT_THE_USERS = ("/.git/", "/.nbdag/", "/__pycache__/")


class Repository:
    """The repository that the running work belongs to; a private copy of it also answers for the ``workspace``."""

    def __init__(self, path: str, workspace: str = "") -> None:
        self._root = _folders(path)[0]
        self._workspace = _folders(workspace) if workspace else ()
        self.prefixes = tuple(dict.fromkeys((*_folders(path), *self._workspace)))
        """What the path of a local file starts with: as nbdag calls the repository, and without symlinks."""
        ours = os.path.dirname(os.path.dirname(__file__))
        folders = {f"{os.path.abspath(path)}/" for path in (ours, sys.prefix, sys.exec_prefix, sys.base_prefix)}
        self._software = tuple(path for path in folders if path not in self.prefixes)

    def surrounds(self, path: str) -> bool:
        """Return whether a path is below the repository, and not installed software; no file is looked at."""
        path = os.path.abspath(path)
        return path.startswith(self.prefixes) and not path.startswith(self._software)

    def locate(self, path: str) -> str | None:
        """Return the absolute path of a file of the user's as nbdag calls it; ``None`` for all others."""
        path = os.path.abspath(path)
        if not self.surrounds(path):
            return None
        prefix = next(prefix for prefix in self.prefixes if path.startswith(prefix))
        path = self._root + path[len(prefix) :]
        below = f"/{path[len(self._root) :]}/"
        return None if any(name in below for name in _NOT_THE_USERS) else path

    def mapped(self, path: str) -> str:
        """Return a folder of the workspace as that of the private copy; any other as it is."""
        below = f"{path}/"
        prefix = next((prefix for prefix in self._workspace if below.startswith(prefix)), None)
        if prefix is None or below.startswith((self._root, *self._software)):
            return path
        return (self._root + below[len(prefix) :]).rstrip("/")


def _folders(path: str) -> tuple[str, str]:
    """Return a folder as it was named and without symlinks, each with a slash at its end."""
    return f"{path.rstrip('/')}/", f"{os.path.realpath(path).rstrip('/')}/"
