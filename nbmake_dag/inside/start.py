"""What a process of the user does first and last: find local modules, note files opened and modules loaded."""

from __future__ import annotations

import atexit
import os
import sys
from types import ModuleType

from nbmake_dag.inside.accesses import Accesses
from nbmake_dag.inside.modules import compile_from_source, loaded_modules, local_modules
from nbmake_dag.inside.repository import Repository
from nbmake_dag.inside.stream import append, close

_started: tuple[Repository, Accesses] | None = None


def start() -> None:
    """Prepare this process for the work that its environment describes; once."""
    global _started  # noqa: PLW0603  # one piece of work for each process
    if _started is not None:
        return
    repository = Repository(os.environ["NBDAG_REPOSITORY"], os.environ.get("NBDAG_WORKSPACE", ""))
    accesses = Accesses(repository, os.environ["NBDAG_ACCESS"])
    _started = repository, accesses
    first = [os.environ["NBDAG_ROOT"], os.environ.get("NBDAG_SOURCE_DIR", os.environ["NBDAG_ROOT"])]
    sys.path[:] = dict.fromkeys([*first, *map(repository.mapped, sys.path)])
    compile_from_source(repository)
    for name, _, _ in local_modules(repository):
        # a zygote imported it before, perhaps as it was before an edit
        del sys.modules[name]
    accesses.watch()
    atexit.register(finish)


def finish() -> None:
    """Log which local modules are loaded and which files were opened; may be called again, when more is known."""
    if _started is None:
        return
    repository, accesses = _started
    append({"kind": "modules", "paths": loaded_modules(repository, os.environ["NBDAG_ROOT"])})
    accesses.flush()


def loaded() -> list[ModuleType]:
    """Return the local modules that are loaded."""
    return [module for _, module, _ in local_modules(_started[0])] if _started else []


def resume() -> None:
    """Go on in a fork of the prepared process, with the environment of another attempt."""
    if _started is None:
        return
    close()
    _started[1].resume(os.environ["NBDAG_ACCESS"])
