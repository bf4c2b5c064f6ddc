"""Note which files of the repository Python opens, by an audit hook.

It sees what goes through Python's ``open``, ``os.open``, ``os.rename``, ``os.replace`` and ``sqlite3.connect``. It
cannot see files that a C library opens by itself, listed or inspected folders, and what other processes do,
except forked children of this one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from nbmake_dag.inside.repository import Repository
from nbmake_dag.inside.stream import append_to

_WRITES = os.O_WRONLY | os.O_RDWR


class Accesses:
    """The files opened so far, kept as they were named until `flush`, so that an open costs next to nothing."""

    def __init__(self, repository: Repository, file: str) -> None:
        self._repository = repository
        self._file = file
        self._read: set[Any] = set()
        self._wrote: set[Any] = set()
        self._noted: set[tuple[str, bool]] = set()
        self._at_once = False

    def watch(self) -> None:
        """Install the hook, for the rest of the process: Python has no way to remove it."""
        prefixes, writes = self._repository.prefixes, _WRITES
        note_read, note_written = self._read.add, self._wrote.add

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            # every open of the user's comes here: each name is local, and little is done
            try:
                if event == "open":
                    path, _, flags = arguments
                    if path.__class__ is str and not path.startswith(prefixes) and path[:1] == "/":
                        return
                    if flags & writes:
                        note_written(path)
                    else:
                        note_read(path)
                elif event == "os.rename":
                    note_written(arguments[1])
                elif event == "sqlite3.connect":
                    note_read(arguments[0])
                elif event == "os.chdir":
                    self.flush()
                else:
                    return
                if self._at_once:
                    self.flush()
            except Exception:  # noqa: BLE001, S110  # an error here would be raised in the user's code
                pass

        sys.addaudithook(hook)
        os.register_at_fork(after_in_child=self._forked)

    def flush(self) -> None:
        """Write down what was opened since the last time; relative paths are those of the present folder."""
        found = {(path, False) for path in self._taken(self._read)} | {
            (path, True) for path in self._taken(self._wrote)
        }
        new = sorted(found - self._noted)
        self._noted |= found
        self._append(new)

    def resume(self, file: str) -> None:
        """Continue in a fork that replaces the process: what was noted so far is noted in another file."""
        self._file, self._at_once = file, False
        self._append(sorted(self._noted))

    def _taken(self, names: set[Any]) -> Iterator[str]:
        """Empty a set, and yield the files of the user's that it named."""
        taken = list(names)
        names.difference_update(taken)
        for name in taken:
            if isinstance(name, (str, bytes, os.PathLike)) and (
                path := self._repository.locate(os.fsdecode(name))
            ):
                yield path

    def _append(self, found: list[tuple[str, bool]]) -> None:
        append_to(self._file, [{"path": path, "mode": "write" if writes else "read"} for path, writes in found])

    def _forked(self) -> None:
        """Write at once from now on: forked children often end without running exit handlers."""
        self._read.clear()
        self._wrote.clear()
        self._at_once = True
