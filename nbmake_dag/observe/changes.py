"""The files of a repository that differ from another branch, from git."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from nbmake_dag.errors import UsageError
from nbmake_dag.observe.git import ask_git, commit_of, run_git


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is different in the working tree, committed or not, since a branch was left."""

    base: str
    """The branch or commit that is compared with."""
    revision: str
    """The last commit that both have."""
    files: frozenset[str]
    """Absolute paths, also of files that are gone; of a submodule or another repository, its folder."""
    folders: frozenset[str]
    """Those of them that are or were a link, a submodule or another repository: all that is in them may differ."""
    known: frozenset[str]
    """Absolute paths of the files of which git says whether they changed, and of submodules."""

    def is_known(self, path: str) -> bool:
        """Return whether git says of a real absolute path whether it changed."""
        while path not in self.known and path not in self.files:
            path, above = os.path.dirname(path), path
            if path == above:
                return False
        return True


def changes_since(repository: str, bases: tuple[str, ...]) -> Changes:
    """Compare with the first of ``bases`` that git knows; raises `UsageError` where it cannot be done."""
    _run(repository, "rev-parse", "--git-dir")
    base = next((base for base in bases if commit_of(repository, base)), None)
    if base is None:
        raise _unknown(repository, bases)
    revision = ask_git(repository, "merge-base", base, "HEAD")
    if revision is None:
        what = f"--affected: {base} and this checkout have no known common commit"
        raise UsageError(what, *_advice(repository, base))
    revision = revision.strip()
    real = os.path.realpath(repository)
    changed = {os.path.join(real, name): modes for name, modes in _differing(repository, revision)}
    folders = {path for path, modes in changed.items() if not _PLAIN.issuperset(modes)}
    new = _run(repository, "ls-files", "-z", "--others", "--exclude-standard")
    for name in filter(None, new.split("\0")):
        path = os.path.join(real, name.rstrip("/"))
        changed[path] = ()
        if name.endswith("/") or os.path.islink(path):
            folders.add(path)
    return Changes(
        base=base,
        revision=revision,
        files=frozenset(changed),
        folders=frozenset(folders),
        known=frozenset(os.path.join(real, name) for name in _looked_at(repository)),
    )


_DIFF = ("--raw", "-z", "--no-renames", "--no-ext-diff", "--no-relative", "--ignore-submodules=none")
_PLAIN = frozenset({"000000", "100644", "100755"})
"""Modes of files, and of what does not exist."""


def _differing(repository: str, revision: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the tracked paths that differ from a commit, with their modes there and here."""
    found = iter(_run(repository, "diff", *_DIFF, revision, "--").split("\0"))
    for line in found:
        if line:
            then, now, *_ = line.removeprefix(":").split(" ")
            yield next(found), (then, now)


def _looked_at(repository: str) -> Iterator[str]:
    """Yield the tracked paths at which git looks: those marked as unchanged, it believes to be."""
    for line in filter(None, _run(repository, "ls-files", "-z", "-v").split("\0")):
        tag, name = line[0], line[2:]
        if tag.isupper() and not (tag == "S" and os.path.lexists(os.path.join(repository, name))):
            yield name


def default_bases(repository: str) -> tuple[str, ...]:
    """Return what a branch is compared with by default: its upstream, else the default branch of ``origin``."""
    upstream = ask_git(repository, "rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}")
    return (upstream.strip(),) if upstream else ("origin/HEAD",)


def content_at(repository: str, revision: str, path: str) -> bytes | None:
    """Return a file as it was in a commit, ``None`` where there was none."""
    name = os.path.relpath(path, repository)
    done = run_git(repository, "cat-file", "blob", f"{revision}:{name}")
    return None if done is None or done.returncode else done.stdout


def paths_at(repository: str, revision: str) -> list[str]:
    """Return the absolute paths of all files in a commit, but for those of submodules."""
    names = _run(repository, "ls-tree", "-r", "-z", "--name-only", revision).split("\0")
    return [os.path.join(repository, name) for name in names if name]


def _unknown(repository: str, bases: tuple[str, ...]) -> UsageError:
    facts, hint = _advice(repository, bases[0])
    return UsageError(f"--affected: git knows no commit {' or '.join(bases)}", facts, hint)


def _advice(repository: str, base: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return what is missing: in a shallow clone, its history."""
    shallow = ask_git(repository, "rev-parse", "--is-shallow-repository")
    if shallow is not None and shallow.strip() == "true":
        hint = (
            "fetch all of it: `fetch-depth: 0` for actions/checkout, `GIT_DEPTH: 0` for GitLab, else"
            " `git fetch --unshallow`"
        )
        return (("repository", repository), ("history", "missing: this is a shallow clone")), hint
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
