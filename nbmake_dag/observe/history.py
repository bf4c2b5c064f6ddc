"""The history of a git repository: the commits of a range, and what is known of one of them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import msgspec

from nbmake_dag.core.bisection import Candidate, Revision
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.git import ask_git, run_git

_CANDIDATE = re.compile(r"^([0-9a-f]{40,64})((?: [0-9a-f]{40,64})*) \((?:.*, )?dist=(\d+)\)$", re.MULTILINE)


class GitHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The commits of a repository, as `nbmake_dag.core.bisection` asks for them."""

    repository: str

    def candidates(self, bad: Revision, good: Sequence[Revision]) -> Sequence[Candidate]:
        """Return the commits that ``bad`` has and no ``good`` one, ``bad`` included; raises `UsageError`."""
        revisions = (bad, *(f"^{commit}" for commit in good))
        found = _CANDIDATE.findall(self._ask("rev-list", "--parents", "--bisect-all", *revisions))
        return [
            Candidate(commit=Revision(commit), parents=tuple(map(Revision, parents.split())), halving=int(halving))
            for commit, parents, halving in found
        ]

    def is_ancestor(self, commit: Revision, of: Revision) -> bool:
        done = run_git(self.repository, "merge-base", "--is-ancestor", commit, of)
        return done is not None and done.returncode == 0

    def merge_base(self, one: Revision, other: Revision) -> Revision | None:
        """Return the newest commit that two have in common."""
        found = ask_git(self.repository, "merge-base", one, other)
        return Revision(found.strip()) if found else None

    def ancestors(self, commit: Revision) -> Sequence[Revision]:
        """Return all commits that one descends from, newest first, without itself; raises `UsageError`."""
        return [Revision(line) for line in self._ask("rev-list", "--topo-order", commit).split()[1:]]

    def is_on_a_branch(self, commit: Revision) -> bool:
        """Whether a local branch reaches a commit: only such code is executed again without being trusted.

        That a checkout is there, of a fork perhaps, says nothing.
        """
        found = ask_git(self.repository, "for-each-ref", "--count=1", f"--contains={commit}", "refs/heads")
        return bool(found)

    def subject(self, commit: Revision) -> str:
        """Return the first line of a commit's message."""
        return (ask_git(self.repository, "log", "-1", "--format=%s", commit) or "").strip()

    def author(self, commit: Revision) -> str:
        return (ask_git(self.repository, "log", "-1", "--format=%an, %as", commit) or "").strip()

    def _ask(self, *arguments: str) -> str:
        done = run_git(self.repository, *arguments)
        if done is None or done.returncode:
            said = "git cannot be run" if done is None else os.fsdecode(done.stderr).strip().split("\n")[0]
            raise UsageError("the history cannot be read", (("repository", self.repository), ("git says", said)))
        return os.fsdecode(done.stdout)
