"""Read-only queries of git, which do not touch its index."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator

from nbmake_dag.observe.project import git_root

_TIMEOUT_S = 60.0
_STATUS_TIMEOUT_S = 2.0
_POINTERS = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_COMMON_DIR",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_SHALLOW_FILE",
        "GIT_GRAFT_FILE",
        "GIT_REPLACE_REF_BASE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
    }
)


def environment() -> dict[str, str]:
    """Return the variables for git, without those that would have it answer for another repository than asked.

    In a hook, or below `git rebase --exec`, they name the repository, and the index, of the git that began it.
    """
    return {name: value for name, value in os.environ.items() if name not in _POINTERS}


def run_git(
    folder: str, *arguments: str, timeout: float = _TIMEOUT_S
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a command of git, however it ends; ``None`` where it cannot be run or takes too many seconds."""
    try:
        return subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder,
            env=environment(),
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


def _batches(paths: Iterable[str]) -> Iterator[list[str]]:
    """Yield as many paths at once as fit on a command line."""
    every = list(paths)
    for start in range(0, len(every), _PATHS_AT_ONCE):
        yield every[start : start + _PATHS_AT_ONCE]


def tracked(paths: Iterable[str]) -> set[str]:
    """Return those of some real absolute paths that git tracks, in any repository.

    Where git cannot answer, they count as tracked.
    """
    return tracked_or_unknown(paths)[0]


def tracked_or_unknown(paths: Iterable[str]) -> tuple[set[str], str]:
    """Return what `tracked` does, and what git says where it cannot answer, such as whose the repository is."""
    inside: dict[str, list[str]] = {}
    for path in paths:
        if root := git_root(os.path.dirname(path)):
            inside.setdefault(root, []).append(path)
    found: set[str] = set()
    refusal = ""
    for root, files in inside.items():
        for some in _batches(files):
            names = (os.path.relpath(path, root) for path in some)
            done = run_git(root, "--literal-pathspecs", "ls-files", "-z", "--", *names)
            if done is None or done.returncode:
                found |= set(some)
                said = os.fsdecode(done.stderr).strip() if done else "it cannot be run"
                refusal = refusal or said.partition("\n")[0]
            else:
                found |= {os.path.join(root, name) for name in os.fsdecode(done.stdout).split("\0")}
    return found, refusal


def index_of(repository: str) -> str:
    """Return the absolute path of the file in which git notes what it tracks."""
    found = ask_git(repository, "rev-parse", "--git-path", "index")
    return os.path.normpath(os.path.join(repository, (found or ".git/index").rstrip("\n")))


def ignored(repository: str, paths: Iterable[str]) -> set[str]:
    """Return those of some absolute paths of a repository that git ignores; none where git gives no answer."""
    which = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--")
    found: set[str] = set()
    for names in _batches(os.path.relpath(path, repository) for path in paths):
        listed = ask_git(repository, "--literal-pathspecs", *which, *names) or ""
        found |= {os.path.join(repository, name) for name in listed.split("\0") if name}
    return found


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


def files_at(repository: str, commit: str, paths: Iterable[str], most: int) -> dict[str, bytes]:
    """Return files of a commit of up to ``most`` bytes, by paths relative to the repository; links are none."""
    which = ("ls-tree", "-z", "--long", commit, "--")
    listed = "".join(ask_git(repository, "--literal-pathspecs", *which, *names) or "" for names in _batches(paths))
    found: dict[str, bytes] = {}
    for line in filter(None, listed.split("\0")):
        entry, _, path = line.partition("\t")
        mode, kind, name, size = entry.split()
        if kind == "blob" and mode != _LINK and int(size) <= most:
            done = run_git(repository, "cat-file", "blob", name)
            if done is not None and done.returncode == 0:
                found[path] = done.stdout
    return found


_LINK = "120000"


def is_dirty(repository: str) -> bool | None:
    """Return whether tracked files differ from the commit; ``None`` where git does not answer in two seconds."""
    changes = ask_git(repository, "status", "--porcelain", "--untracked-files=no", timeout=_STATUS_TIMEOUT_S)
    return None if changes is None else bool(changes)
