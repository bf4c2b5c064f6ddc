"""Note which files of the repository Python opens, by an audit hook.

It sees what goes through Python's ``open``, ``os.open``, ``os.rename``, ``os.replace`` and ``sqlite3.connect``. It
cannot see files that a C library opens by itself, listed or inspected folders, and what other processes do,
except forked children of this one.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from nbmake_dag.inside.repository import Repository
from nbmake_dag.inside.stream import append_to

_WRITES = os.O_WRONLY | os.O_RDWR


class Accesses:
    """The files opened so far, kept as they were named until `flush`, so that an open costs next to nothing."""

    def __init__(self, repository: Repository, file: str) -> None:
        self._repository = repository
        self._file = file
        self._opened: set[tuple[Any, int]] = set()
        self._written: set[tuple[str, bool]] = set()
        self._at_once = False

    def watch(self) -> None:
        """Install the hook, for the rest of the process: Python has no way to remove it."""
        prefixes, writes, note = self._repository.prefixes, _WRITES, self._opened.add

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            # every open of the user's comes here: each name is local, and little is done
            try:
                if event == "open":
                    path, _, flags = arguments
                    if path.__class__ is str and path[:1] == "/" and not path.startswith(prefixes):
                        return
                    note((path, flags & writes))
                elif event == "os.rename":
                    note((arguments[1], writes))
                elif event == "sqlite3.connect":
                    note((arguments[0], 0))
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
        opened = list(self._opened)
        self._opened.difference_update(opened)
        found = {
            (path, flags != 0)
            for name, flags in opened
            if isinstance(name, (str, bytes, os.PathLike)) and (path := self._repository.locate(os.fsdecode(name)))
        }
        new = sorted(found - self._written)
        self._written |= found
        self._append(new)

    def resume(self, file: str) -> None:
        """Go on in a fork that takes the place of the process: what was noted so far is noted in another file."""
        self._file, self._at_once = file, False
        self._append(sorted(self._written))

    def _append(self, found: list[tuple[str, bool]]) -> None:
        append_to(self._file, [{"path": path, "mode": "write" if writes else "read"} for path, writes in found])

    def _forked(self) -> None:
        """Write at once from now on: forked children often end without a last word."""
        self._opened.clear()
        self._at_once = True
