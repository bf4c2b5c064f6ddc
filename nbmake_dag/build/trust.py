"""Whom a build may believe and who may believe it: its zone in the shared cache, told from where it runs.

What runs on a trusted branch reads and writes ``main``. Everything else reads ``main`` and a zone of its own, and
writes only there: a pull request, another branch, a tag, a person's machine. A pull request from a fork, and an
event that could run one's code with the rights of the repository, write nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256

from nbmake_dag.errors import UsageError
from nbmake_dag_cache.shared import Zones

MAIN = "main"
LOCAL = "local"
ZONE = "NBDAG_CACHE_ZONE"
"""Names the zone where neither GitHub nor GitLab says what a build is for."""

_OF_A_BRANCH = frozenset({"push", "schedule", "workflow_dispatch", "merge_group"})
"""Events of GitHub that run what is on a branch, and nothing else."""
_OF_A_REF = frozenset({"push", "schedule", "web", "api", "trigger", "pipeline", "parent_pipeline"})
"""Sources of GitLab's pipelines that do."""
_PULL = re.compile(r"refs/pull/(\d{1,12})/(?:merge|head)")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The zones of a build; ``refusal`` says why it may not write, if it may not."""

    zones: Zones
    refusal: str = ""


def trust_of(environ: Mapping[str, str], trusted_branches: Collection[str]) -> Trust:
    """Say which zones a build reads and writes; raises `UsageError` for a zone that cannot be one."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ, trusted_branches)
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ, trusted_branches)
    if ZONE in environ:
        if not _NAME.fullmatch(environ[ZONE]):
            raise UsageError(f"{ZONE} is not a name of letters, digits, `-` and `_`", (("value", environ[ZONE]),))
        return _own(environ[ZONE])
    if environ.get("CI", "").lower() not in {"", "0", "false"}:
        return _nothing(f"this CI is not known; {ZONE} names its zone")
    return _own(LOCAL)


def _github(environ: Mapping[str, str], trusted_branches: Collection[str]) -> Trust:
    event = environ.get("GITHUB_EVENT_NAME", "")
    if event == "pull_request":
        pull = _PULL.fullmatch(environ.get("GITHUB_REF", ""))
        if pull is None or _is_from_a_fork(environ):
            return _nothing("this is a pull request from a fork")
        return _own(f"pull-{pull[1]}")
    if event not in _OF_A_BRANCH:
        return _nothing(f"the event `{event}` may run code that nobody reviewed")
    return _of_ref(environ.get("GITHUB_REF_TYPE", ""), environ.get("GITHUB_REF_NAME", ""), trusted_branches)


def _is_from_a_fork(environ: Mapping[str, str]) -> bool:
    """Read what GitHub says of a pull request; where that cannot be read, it may be from anywhere."""
    try:
        with open(environ.get("GITHUB_EVENT_PATH", ""), "rb") as file:
            head = json.load(file)["pull_request"]["head"]["repo"]["full_name"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return True
    return not isinstance(head, str) or head.lower() != environ.get("GITHUB_REPOSITORY", "").lower()


def _gitlab(environ: Mapping[str, str], trusted_branches: Collection[str]) -> Trust:
    source, get = environ.get("CI_PIPELINE_SOURCE", ""), environ.get
    if source == "merge_request_event":
        number = get("CI_MERGE_REQUEST_IID", "")
        project = get("CI_MERGE_REQUEST_PROJECT_ID", "")
        if not number.isdecimal() or not project or get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID") != project:
            return _nothing("this is a merge request from a fork")
        return _own(f"pull-{number}")
    if source not in _OF_A_REF:
        return _nothing(f"the source `{source}` may run code that nobody reviewed")
    kind = "tag" if get("CI_COMMIT_TAG") else "branch"
    return _of_ref(kind, get("CI_COMMIT_REF_NAME", ""), trusted_branches)


def _of_ref(kind: str, name: str, trusted_branches: Collection[str]) -> Trust:
    if kind == "branch" and name in trusted_branches:
        return _own(MAIN)
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name)[:40]
    return _own(f"{kind or 'ref'}-{readable}-{sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}")


def _own(zone: str) -> Trust:
    return Trust(zones=Zones(reads=tuple(dict.fromkeys((MAIN, zone))), writes=zone))


def _nothing(why: str) -> Trust:
    return Trust(zones=Zones(reads=(MAIN,)), refusal=why)
