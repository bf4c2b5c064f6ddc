"""Asks git whether the checkout has changes that are not committed: a process, so only for builds that execute."""

from __future__ import annotations

from nbmake_dag.observe.git import ask_git

_TIMEOUT_S = 2.0


def is_dirty(repository: str) -> bool | None:
    """Tell whether tracked files differ from the commit; ``None`` where git cannot say within two seconds."""
    changes = ask_git(repository, "status", "--porcelain", "--untracked-files=no", timeout=_TIMEOUT_S)
    return None if changes is None else bool(changes)
