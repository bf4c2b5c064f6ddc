"""Note which files of the repository were looked at without being opened, and whether a child process was started.

A snapshot depends on such files too, and a child may have read any. Python has no audit event for `os.stat`: it
is replaced, together with what is like it, in kernels of which snapshots are taken.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from nbmake_dag.inside.repository import Repository

ANY = "*"
"""Stands for all files: a child process was started, and nobody knows which ones it read."""
_INSPECTING = ("stat", "lstat", "access")
_CHILDREN = frozenset({"subprocess.Popen", "os.system", "os.posix_spawn", "os.forkpty"})
_LISTING = frozenset({"os.listdir", "os.scandir"})


class Looks:
    """What was looked at so far; a folder that was listed ends with a slash, and stands for the files in it."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._found: set[str] = set()

    def watch(self) -> None:
        """Note from now on, for the rest of the process."""
        for name in _INSPECTING:
            self._replace(name)
        found, note = self._found, self._note

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _CHILDREN:
                found.add(ANY)
            elif event in _LISTING and not _imports(sys._getframe(1)):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                note(os.curdir if arguments[0] is None else arguments[0], lists=True)

        sys.addaudithook(hook)

    def write(self, file: str) -> None:
        """Write it all down for the process that asked for a snapshot."""
        with open(file, "w", encoding="utf-8", errors="surrogateescape") as stream:
            json.dump(sorted(self._found), stream)

    def _note(self, path: Any, *, lists: bool = False) -> None:
        try:
            if isinstance(path, (str, bytes, os.PathLike)):
                name = os.fsdecode(path)
                located = self._repository.locate(os.path.join(name, "-") if lists else name)
                if located:
                    self._found.add(located[:-1] if lists else located)
        except Exception:  # noqa: BLE001, S110  # an error here would be raised in the user's code
            pass

    def _replace(self, name: str) -> None:
        original: Callable[..., Any] = getattr(os, name)
        note = self._note

        @functools.wraps(original)
        def noting(path: Any, *arguments: Any, **options: Any) -> Any:
            note(path)
            return original(path, *arguments, **options)

        noting.__module__ = "os"
        for abilities in (
            os.supports_dir_fd,
            os.supports_fd,
            os.supports_follow_symlinks,
            os.supports_effective_ids,
        ):
            if original in abilities:
                abilities.add(noting)
        setattr(os, name, noting)


def _imports(frame: Any) -> bool:
    """Return whether the import system runs a frame: it lists the folders that it searches."""
    return bool(frame.f_code.co_filename.startswith("<frozen importlib"))
