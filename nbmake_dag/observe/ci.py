"""The facts about a CI job from GitHub Actions or GitLab CI: for the record, and for the trust decision.

The one place that reads from their variables what a job is for, and the file in which GitHub describes the event.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Literal

import msgspec

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.spans import AttributeValue

_PULL_REF = re.compile(r"refs/pull/(\d+)/(?:merge|head)")
_LARGEST_EVENT = 16 << 20


def in_ci(environ: Mapping[str, str]) -> bool:
    """Return whether a CI system runs this, also one of which nothing else is known."""
    return environ.get("CI", "").lower() not in {"", "0", "false"}


class CiJob(msgspec.Struct, frozen=True, kw_only=True):
    """What started a job, and on whose behalf."""

    provider: str
    """``github`` or ``gitlab``."""
    runs: Literal[
        "ref",  # what is on a branch or a tag, and nothing else
        "change",  # the code of a pull or merge request
        "unknown",  # perhaps code that nobody reviewed, with the rights of the repository
    ] = "unknown"
    """Whose code the event runs."""
    event: str
    """``push``, ``schedule``, ``pull_request``, ``merge_request_event``, ... in the provider's words."""
    ref_type: str = ""
    """``branch`` or ``tag``: of which ``ref_name`` is the name. A pull request is neither."""
    ref_name: str = ""
    change: str | None = None
    """The number of the pull or merge request."""
    base_branch: str | None = None
    """The branch that the request aims at."""
    base_revision: str | None = None
    """The commit of that branch, where CI gives it."""
    default_branch: str | None = None
    """The repository's own, which pushes to other branches cannot change."""
    from_fork: bool = False
    """The code may be that of someone who cannot write to the repository. True where that is unknown."""


class _Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A CI system: how its jobs are recognised, and what their variables mean."""

    is_here: Callable[[Mapping[str, str]], bool]
    job: Callable[[Mapping[str, str]], CiJob]
    attributes: Callable[[Mapping[str, str]], dict[str, AttributeValue]]


def on_github_actions(environ: Mapping[str, str]) -> bool:
    """Tell whether GitHub's runner reads what is printed."""
    return environ.get("GITHUB_ACTIONS") == "true"


def ci_job(environ: Mapping[str, str]) -> CiJob | None:
    """Describe the job that this process is part of; ``None`` outside of CI."""
    provider = _provider(environ)
    return provider.job(environ) if provider else None


def ci_attributes(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    """Return ``nbdag.ci.*``, ``vcs.*`` and the run's URL; nothing outside of CI."""
    provider = _provider(environ)
    return {name: value for name, value in provider.attributes(environ).items() if value} if provider else {}


def _provider(environ: Mapping[str, str]) -> _Provider | None:
    return next((provider for provider in _PROVIDERS if provider.is_here(environ)), None)


_REFS_OF_GITHUB = {"push", "schedule", "workflow_dispatch", "merge_group"}
_REFS_OF_GITLAB = {"push", "schedule", "web", "api", "trigger", "pipeline", "parent_pipeline"}


def _runs(event: str, of_a_ref: Collection[str], of_a_change: str) -> Literal["ref", "change", "unknown"]:
    if event == of_a_change:
        return "change"
    return "ref" if event in of_a_ref else "unknown"


def _github_job(environ: Mapping[str, str]) -> CiJob:
    event = _event(environ)
    pull = _pull(environ, event)
    return CiJob(
        provider="github",
        runs=_runs(environ.get("GITHUB_EVENT_NAME", ""), _REFS_OF_GITHUB, "pull_request"),
        event=environ.get("GITHUB_EVENT_NAME", ""),
        ref_type="" if pull.number else environ.get("GITHUB_REF_TYPE", ""),
        ref_name="" if pull.number else environ.get("GITHUB_REF_NAME", ""),
        change=pull.number or None,
        base_branch=pull.base or None,
        default_branch=_text(event, "repository", "default_branch") or None,
        base_revision=pull.base_revision or None,
        from_fork=_github_is_foreign(environ, event),
    )


def _github_is_foreign(environ: Mapping[str, str], event: Mapping[str, Any]) -> bool:
    """Compare the repositories that GitHub names; an event that should name them and does not is foreign."""
    name = environ.get("GITHUB_EVENT_NAME", "")
    ours = environ.get("GITHUB_REPOSITORY", "").lower()
    if name == "workflow_run":
        return _text(event, "workflow_run", "head_repository", "full_name").lower() != ours
    if name.startswith("pull_request") or "pull_request" in event:
        return _text(event, "pull_request", "head", "repo", "full_name").lower() != ours
    # a comment tells nothing of the code of the pull request that it stands at
    return name == "issue_comment" or _PULL_REF.fullmatch(environ.get("GITHUB_REF", "")) is not None


class _Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request of GitHub; empty texts for unknown values."""

    number: str
    title: str
    head: str
    head_revision: str
    base: str
    base_revision: str


def _pull(environ: Mapping[str, str], event: Mapping[str, Any]) -> _Pull:
    ref = _PULL_REF.fullmatch(environ.get("GITHUB_REF", ""))
    return _Pull(
        number=ref[1] if ref else _text(event, "pull_request", "number"),
        title=_text(event, "pull_request", "title"),
        head=environ.get("GITHUB_HEAD_REF") or _text(event, "pull_request", "head", "ref"),
        head_revision=_text(event, "pull_request", "head", "sha"),
        base=environ.get("GITHUB_BASE_REF") or _text(event, "pull_request", "base", "ref"),
        base_revision=_text(event, "pull_request", "base", "sha"),
    )


def _event(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Read the event that started a workflow; nothing where it cannot be read."""
    path = environ.get("GITHUB_EVENT_PATH", "")
    with suppress(OSError, msgspec.DecodeError, RecursionError):
        if 0 < os.path.getsize(path) <= _LARGEST_EVENT:
            with open(path, "rb") as file:
                found = msgspec.json.decode(file.read())
            return found if isinstance(found, dict) else {}
    return {}


def _text(value: Any, *names: str) -> str:
    """Follow names into an event, of which nothing is certain."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return str(value) if isinstance(value, (str, int)) else ""


def _github(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    get = environ.get
    owner, _, name = get("GITHUB_REPOSITORY", "").partition("/")
    repository = f"{get('GITHUB_SERVER_URL', 'https://github.com')}/{owner}/{name}" if name else ""
    pull = _pull(environ, _event(environ))
    run = get("GITHUB_RUN_ID", "")
    attempt = get("GITHUB_RUN_ATTEMPT", "")
    return {
        schema.CI_PROVIDER: "github",
        schema.CI_RUN_ID: run,
        schema.CI_RUN_ATTEMPT: attempt,
        schema.CI_WORKFLOW: get("GITHUB_WORKFLOW", ""),
        schema.CI_JOB: get("GITHUB_JOB", ""),
        schema.CI_EVENT: get("GITHUB_EVENT_NAME", ""),
        schema.CI_ACTOR: get("GITHUB_ACTOR", ""),
        schema.RUN_URL: f"{repository}/actions/runs/{run}/attempts/{attempt or 1}" if repository and run else "",
        schema.VCS_PROVIDER: "github",
        schema.VCS_REPOSITORY_URL: repository,
        schema.VCS_REPOSITORY_NAME: name,
        schema.VCS_OWNER: owner,
        schema.VCS_HEAD_NAME: pull.head or get("GITHUB_REF_NAME", ""),
        schema.VCS_HEAD_TYPE: "branch" if pull.number else get("GITHUB_REF_TYPE", ""),
        schema.VCS_HEAD_REVISION: pull.head_revision or get("GITHUB_SHA", ""),
        schema.VCS_MERGE_REVISION: get("GITHUB_SHA", "") if pull.head_revision else "",
        schema.VCS_BASE_NAME: pull.base,
        schema.VCS_BASE_REVISION: pull.base_revision,
        schema.VCS_CHANGE_ID: pull.number,
        schema.VCS_CHANGE_TITLE: pull.title,
    }


def _gitlab_job(environ: Mapping[str, str]) -> CiJob:
    get = environ.get
    change = get("CI_MERGE_REQUEST_IID", "")
    return CiJob(
        provider="gitlab",
        runs=_runs(get("CI_PIPELINE_SOURCE", ""), _REFS_OF_GITLAB, "merge_request_event"),
        event=get("CI_PIPELINE_SOURCE", ""),
        ref_type="" if change else _gitlab_ref_type(environ),
        ref_name="" if change else get("CI_COMMIT_REF_NAME", ""),
        change=change or None,
        base_branch=get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME") or None,
        default_branch=get("CI_DEFAULT_BRANCH") or None,
        base_revision=_gitlab_base(environ) or None,
        from_fork=_gitlab_is_foreign(environ),
    )


def _gitlab_is_foreign(environ: Mapping[str, str]) -> bool:
    get = environ.get
    if get("CI_PIPELINE_SOURCE") == "external_pull_request_event":
        source, target = (get(f"CI_EXTERNAL_PULL_REQUEST_{end}_REPOSITORY") for end in ("SOURCE", "TARGET"))
    elif get("CI_PIPELINE_SOURCE") == "merge_request_event" or get("CI_MERGE_REQUEST_IID"):
        source, target = get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"), get("CI_MERGE_REQUEST_PROJECT_ID")
    else:
        return False
    return not source or source != target


def _gitlab_ref_type(environ: Mapping[str, str]) -> str:
    return "tag" if environ.get("CI_COMMIT_TAG") else "branch"


def _gitlab_base(environ: Mapping[str, str]) -> str:
    """Return the target branch's commit, which only pipelines of merged results know, else the merge base."""
    return environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_SHA") or environ.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", "")


def _gitlab(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    get = environ.get
    head = get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "")
    commit = get("CI_COMMIT_SHA", "")
    return {
        schema.CI_PROVIDER: "gitlab",
        schema.CI_RUN_ID: get("CI_PIPELINE_ID", ""),
        schema.CI_WORKFLOW: get("CI_PIPELINE_NAME", ""),
        schema.CI_JOB: get("CI_JOB_NAME", ""),
        schema.CI_EVENT: get("CI_PIPELINE_SOURCE", ""),
        schema.CI_ACTOR: get("GITLAB_USER_LOGIN", ""),
        schema.RUN_URL: get("CI_JOB_URL", ""),
        schema.VCS_PROVIDER: "gitlab",
        schema.VCS_REPOSITORY_URL: get("CI_PROJECT_URL", ""),
        schema.VCS_REPOSITORY_NAME: get("CI_PROJECT_NAME", ""),
        schema.VCS_OWNER: get("CI_PROJECT_NAMESPACE", ""),
        schema.VCS_HEAD_NAME: get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or get("CI_COMMIT_REF_NAME", ""),
        schema.VCS_HEAD_TYPE: _gitlab_ref_type(environ),
        schema.VCS_HEAD_REVISION: head or commit,
        schema.VCS_MERGE_REVISION: commit if head else "",
        schema.VCS_BASE_NAME: get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", ""),
        schema.VCS_BASE_REVISION: _gitlab_base(environ),
        schema.VCS_CHANGE_ID: get("CI_MERGE_REQUEST_IID", ""),
        schema.VCS_CHANGE_TITLE: get("CI_MERGE_REQUEST_TITLE", ""),
    }


_PROVIDERS = (
    _Provider(is_here=on_github_actions, job=_github_job, attributes=_github),
    _Provider(is_here=lambda environ: environ.get("GITLAB_CI") == "true", job=_gitlab_job, attributes=_gitlab),
)
