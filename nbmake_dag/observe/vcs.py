"""The state of the checkout from git's own files; no process is started."""

from __future__ import annotations

import os
import re
import stat

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.spans import AttributeValue

_PROVIDERS = ("github", "gitlab", "bitbucket", "gitea")
_ORIGIN = re.compile(r'^\[remote "origin"\][^\[]*?^\s*url\s*=\s*(\S+)', re.MULTILINE | re.DOTALL)
_SSH = re.compile(r"(?:ssh://)?[^@/\s]+@([^:/\s]+)(?::\d+)?[:/]+(.+)")
_HTTP = re.compile(r"https?://(?:[^@/\s]+@)?([^/\s]+)/(.+)")
_REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HEADS = "refs/heads/"
_MOST_CHARACTERS = 64 << 20
_LONGEST_NAME = 4096
"""Characters of a branch: longer ones git cannot have, and they would be in every record."""


def git_attributes(repository: str) -> dict[str, AttributeValue]:
    """Describe the commit, the branch and ``origin`` of the repository at a folder; nothing where it has none."""
    git = _git_directory(repository)
    if git is None:
        return {}
    common = os.path.join(git, _read(os.path.join(git, "commondir")) or ".")
    return {**_head(git, common), **_origin(_read(os.path.join(common, "config")))}


def remote_attributes(url: str) -> dict[str, AttributeValue]:
    """Describe a remote by its URL, given without user, password and ``.git``; a local path is nothing."""
    match = _HTTP.fullmatch(url) or _SSH.fullmatch(url)
    if match is None:
        return {}
    host, path = match[1], match[2].strip("/").removesuffix(".git")
    owner, _, name = path.rpartition("/")
    found: dict[str, AttributeValue] = {schema.VCS_REPOSITORY_URL: f"https://{host}/{path}"}
    found[schema.VCS_REPOSITORY_NAME] = name
    if owner:
        found[schema.VCS_OWNER] = owner
    provider = next((word for word in _PROVIDERS if word in host), None)
    return {**found, schema.VCS_PROVIDER: provider} if provider else found


def _head(git: str, common: str) -> dict[str, AttributeValue]:
    head = _read(os.path.join(git, "HEAD"), _LONGEST_NAME)
    if not head.startswith("ref: "):
        return {schema.VCS_HEAD_REVISION: head} if _REVISION.fullmatch(head) else {}
    ref = head.removeprefix("ref: ")
    found: dict[str, AttributeValue] = {}
    if ref.startswith(_HEADS):
        found = {schema.VCS_HEAD_NAME: ref.removeprefix(_HEADS), schema.VCS_HEAD_TYPE: "branch"}
    revision = _read(os.path.join(common, ref)) or _packed(common, ref)
    return {**found, schema.VCS_HEAD_REVISION: revision} if _REVISION.fullmatch(revision) else found


def _packed(common: str, ref: str) -> str:
    for line in _read(os.path.join(common, "packed-refs")).splitlines():
        revision, _, name = line.partition(" ")
        if name == ref:
            return revision
    return ""


def _origin(config: str) -> dict[str, AttributeValue]:
    match = _ORIGIN.search(config)
    return remote_attributes(match[1]) if match else {}


def _git_directory(repository: str) -> str | None:
    """Find ``.git``, which in worktrees and submodules is a file that names the folder."""
    path = os.path.join(repository, ".git")
    if os.path.isdir(path):
        return path
    pointer = _read(path)
    return os.path.join(repository, pointer.removeprefix("gitdir: ")) if pointer.startswith("gitdir: ") else None


def _read(path: str, most: int = _MOST_CHARACTERS) -> str:
    try:
        # a FIFO would keep the build waiting
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(most).strip()
    except OSError:
        return ""
