"""Poll the stamps of files and folders once a second, for file systems that report no changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from nbmake_dag_cache.stamps import Stamp, stamp_of

PERIOD_S = 1.0


class Poller:
    """Calls ``ring``, in a thread of its own, when one of the watched paths is not what it was."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._paths: tuple[str, ...] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poll", daemon=True)
        self._thread.start()

    def watch(self, paths: Iterable[str]) -> None:
        """Poll these paths and no others."""
        self._paths = tuple(sorted(set(paths)))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        seen: dict[str, Stamp | None] = {}
        while not self._stop.wait(PERIOD_S):
            before, seen = seen, {path: _stamp(path) for path in self._paths}
            if any(path in before and before[path] != stamp for path, stamp in seen.items()):
                self._ring()


def _stamp(path: str) -> Stamp | None:
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None
