"""Decide which zones of the shared cache a build may read and write, from the CI context.

What runs on a trusted branch reads and writes ``main``. Everything else reads ``main`` and a zone of its own, and
writes only there: a pull request, another branch, a tag, a person's machine. A pull request from a fork, and an
event that could run one's code with the rights of the repository, write nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from hashlib import sha256

import msgspec

from nbmake_dag.errors import UsageError
from nbmake_dag.observe.ci import CiJob, ci_job, in_ci
from nbmake_dag_cache.shared import Zones

MAIN = "main"
LOCAL = "local"
ZONE = "NBDAG_CACHE_ZONE"
"""Names the zone where neither GitHub nor GitLab describes the job."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The zones of a build; ``refusal`` is the reason if it may not write."""

    zones: Zones
    refusal: str = ""


def trust_of(environ: Mapping[str, str], trusted_branches: Collection[str]) -> Trust:
    """Return which zones a build reads and writes; raises `UsageError` for a zone that cannot be one."""
    job = ci_job(environ)
    if job is not None:
        return trust_of_job(job, trusted_branches)
    if ZONE in environ:
        if not _NAME.fullmatch(environ[ZONE]):
            raise UsageError(f"{ZONE} is not a name of letters, digits, `-` and `_`", (("value", environ[ZONE]),))
        return _own(environ[ZONE])
    if in_ci(environ):
        return _nothing(f"this CI is not known; set {ZONE} to its zone")
    return _own(LOCAL)


def trust_of_job(job: CiJob, trusted_branches: Collection[str]) -> Trust:
    """Return which zones a job of a known CI system reads and writes."""
    if job.runs == "change":
        if job.from_fork or job.change is None or not job.change.isdecimal():
            return _nothing("this is a pull request from a fork")
        return _own(f"pull-{job.change}")
    if job.from_fork or job.change or job.runs != "ref":
        return _nothing(f"the event `{job.event}` may run code that nobody reviewed")
    if job.ref_type == "branch" and job.ref_name in trusted_branches:
        return _own(MAIN)
    readable = re.sub(r"[^A-Za-z0-9]+", "-", job.ref_name)[:40]
    digest = sha256(job.ref_name.encode(errors="surrogateescape")).hexdigest()[:16]
    return _own(f"{job.ref_type or 'ref'}-{readable}-{digest}")


def _own(zone: str) -> Trust:
    return Trust(zones=Zones(reads=tuple(dict.fromkeys((MAIN, zone))), writes=zone))


def _nothing(why: str) -> Trust:
    return Trust(zones=Zones(reads=(MAIN,)), refusal=why)
