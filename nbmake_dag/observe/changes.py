"""Which files of a repository differ from another branch, as git says."""

from __future__ import annotations

import os
from dataclasses import dataclass

from nbmake_dag.errors import UsageError
from nbmake_dag.observe.git import ask_git, commit_of, run_git


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different in the working tree, committed or not, since a branch was left."""

    base: str
    """The branch or commit that is compared with."""
    revision: str
    """The last commit that both have."""
    files: frozenset[str]
    """Absolute paths, also of files that are gone; of a submodule, its folder."""


def changes_since(repository: str, bases: tuple[str, ...]) -> Changes:
    """Compare with the first of ``bases`` that git knows; raises `UsageError` where it cannot be done."""
    _run(repository, "rev-parse", "--git-dir")
    base = next((base for base in bases if commit_of(repository, base)), None)
    if base is None:
        raise _unknown(repository, bases)
    revision = ask_git(repository, "merge-base", base, "HEAD")
    if revision is None:
        what = f"--affected: nothing tells what {base} and this checkout have in common"
        raise UsageError(what, *_advice(repository, base))
    revision = revision.strip()
    changed = _run(repository, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", revision, "--")
    new = _run(repository, "ls-files", "-z", "--others", "--exclude-standard")
    names = filter(None, f"{changed}\0{new}".split("\0"))
    return Changes(
        base=base,
        revision=revision,
        files=frozenset(os.path.join(repository, name) for name in names),
    )


def default_bases(repository: str) -> tuple[str, ...]:
    """Return what a branch is compared with by default: its upstream, else the default branch of ``origin``."""
    upstream = ask_git(repository, "rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}")
    return (upstream.strip(),) if upstream else ("origin/HEAD",)


def content_at(repository: str, revision: str, path: str) -> bytes | None:
    """Return a file as it was in a commit, ``None`` where there was none."""
    name = os.path.relpath(path, repository)
    done = run_git(repository, "cat-file", "blob", f"{revision}:{name}")
    return None if done is None or done.returncode else done.stdout


def _unknown(repository: str, bases: tuple[str, ...]) -> UsageError:
    facts, hint = _advice(repository, bases[0])
    return UsageError(f"--affected: git knows no commit {' or '.join(bases)}", facts, hint)


def _advice(repository: str, base: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Say what is missing: in a shallow clone, its history."""
    shallow = ask_git(repository, "rev-parse", "--is-shallow-repository")
    if shallow is not None and shallow.strip() == "true":
        hint = (
            "fetch all of it: `fetch-depth: 0` for actions/checkout, `GIT_DEPTH: 0` for GitLab, else"
            " `git fetch --unshallow`"
        )
        return (("repository", repository), ("history", "cut off, this is a shallow clone")), hint
    return (("repository", repository),), f"fetch it, or name another one: --affected=BASE instead of {base}"


def _run(repository: str, *arguments: str) -> str:
    done = run_git(repository, *arguments)
    if done is None:
        raise UsageError("--affected needs git, which cannot be run here", (), "install it")
    if done.returncode:
        said = os.fsdecode(done.stderr).strip().split("\n")[0]
        facts = (("repository", repository), ("git says", said))
        raise UsageError("--affected needs a git repository that can be read", facts)
    return os.fsdecode(done.stdout)
