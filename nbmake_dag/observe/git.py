"""Questions to git, which leave its index alone."""

from __future__ import annotations

import os
import subprocess

_TIMEOUT_S = 60.0


def run_git(
    folder: str, *arguments: str, timeout: float = _TIMEOUT_S
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a command of git, however it ends; ``None`` where it cannot be run or takes too many seconds."""
    try:
        return subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None


def ask_git(folder: str, *arguments: str, timeout: float = _TIMEOUT_S) -> str | None:
    """Return what a command of git prints, ``None`` where it cannot be run or fails."""
    done = run_git(folder, *arguments, timeout=timeout)
    return None if done is None or done.returncode else os.fsdecode(done.stdout)


def commit_of(folder: str, name: str) -> str | None:
    """Return the full hash of the commit that a branch, a tag or a prefix means."""
    found = ask_git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return None if found is None else found.strip()
