"""Asks git whether the checkout has changes that are not committed: a process, so only for builds that execute."""

from __future__ import annotations

import subprocess


def is_dirty(repository: str) -> bool | None:
    """Tell whether tracked files differ from the commit; ``None`` where git cannot say within two seconds."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"],
            cwd=repository,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout)
