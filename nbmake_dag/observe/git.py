"""Read-only queries of git, which do not touch its index."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from nbmake_dag.observe.project import git_root

_TIMEOUT_S = 60.0
_STATUS_TIMEOUT_S = 2.0


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


_PATHS_AT_ONCE = 500


def tracked(paths: Iterable[str]) -> set[str]:
    """Return those of some real absolute paths that git tracks, in any repository.

    Where git cannot answer, they count as tracked.
    """
    inside: dict[str, list[str]] = {}
    for path in paths:
        if root := git_root(os.path.dirname(path)):
            inside.setdefault(root, []).append(path)
    found: set[str] = set()
    for root, files in inside.items():
        for start in range(0, len(files), _PATHS_AT_ONCE):
            some = files[start : start + _PATHS_AT_ONCE]
            names = (os.path.relpath(path, root) for path in some)
            listed = ask_git(root, "--literal-pathspecs", "ls-files", "-z", "--", *names)
            found |= set(some) if listed is None else {os.path.join(root, name) for name in listed.split("\0")}
    return found


def index_of(repository: str) -> str:
    """Return the absolute path of the file in which git notes what it tracks."""
    found = ask_git(repository, "rev-parse", "--git-path", "index")
    return os.path.normpath(os.path.join(repository, (found or ".git/index").rstrip("\n")))


def ignored(repository: str, paths: Iterable[str]) -> set[str]:
    """Return those of some absolute paths of a repository that git ignores; none where git gives no answer."""
    names = [os.path.relpath(path, repository) for path in paths]
    which = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--")
    listed = ask_git(repository, "--literal-pathspecs", *which, *names) if names else None
    return {os.path.join(repository, name) for name in (listed or "").split("\0") if name}


def listed_files(repository: str) -> list[str] | None:
    """Return the files that are in git, or would be if they were added, relative to the repository.

    ``None`` where git gives no answer.
    """
    listed = ask_git(repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return None if listed is None else list(dict.fromkeys(filter(None, listed.split("\0"))))


def commit_of(folder: str, name: str) -> str | None:
    """Return the full hash of the commit that a branch, a tag or a prefix means."""
    found = ask_git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return None if found is None else found.strip()


def is_dirty(repository: str) -> bool | None:
    """Return whether tracked files differ from the commit; ``None`` where git does not answer in two seconds."""
    changes = ask_git(repository, "status", "--porcelain", "--untracked-files=no", timeout=_STATUS_TIMEOUT_S)
    return None if changes is None else bool(changes)
