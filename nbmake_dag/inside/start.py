"""Start and end of a user's process: find local modules, note the files opened and the modules loaded."""

from __future__ import annotations

import atexit
import sys

from nbmake_dag.inside.audit_hook import Accesses
from nbmake_dag.inside.given import given, keep
from nbmake_dag.inside.imports import Imports
from nbmake_dag.inside.modules import compile_from_source, loaded_modules, local_modules
from nbmake_dag.inside.repository import Repository
from nbmake_dag.inside.started_scripts import StartedScripts
from nbmake_dag.inside.stream import append, close

_started: tuple[Repository, Accesses, Imports] | None = None


def start() -> None:
    """Prepare this process for the work that its environment describes; once."""
    global _started  # noqa: PLW0603  # one piece of work for each process
    if _started is not None:
        return
    keep()
    repository = Repository(given("NBDAG_REPOSITORY"), given("NBDAG_WORKSPACE"))
    accesses = Accesses(repository, given("NBDAG_ACCESS"))
    imports = Imports(repository)
    _started = repository, accesses, imports
    first = [given("NBDAG_ROOT"), given("NBDAG_SOURCE_DIR") or given("NBDAG_ROOT")]
    sys.path[:] = dict.fromkeys([*first, *map(repository.mapped, sys.path)])
    compile_from_source(repository)
    for name, _, _ in local_modules(repository):
        # a zygote imported it before, perhaps as it was before an edit
        del sys.modules[name]
    accesses.watch()
    StartedScripts(repository, imports).watch()
    imports.watch()
    atexit.register(finish)


def finish() -> None:
    """Log which local modules are loaded and which files were opened; may be called again, when more is known."""
    if _started is None:
        return
    repository, accesses, imports = _started
    root = given("NBDAG_ROOT")
    append({"kind": "modules", "paths": loaded_modules(repository, root), "decisive": imports.decisive(root)})
    accesses.flush()


def resume() -> None:
    """Go on in a fork of the prepared process, with the environment of another attempt."""
    if _started is None:
        return
    close()
    keep()
    _started[1].resume(given("NBDAG_ACCESS"))
    if upstream := sys.modules.get("nbmake_dag.inside.upstream"):
        upstream.resume()


def repository() -> Repository | None:
    """Return the repository of the work that this process was prepared for."""
    return None if _started is None else _started[0]
