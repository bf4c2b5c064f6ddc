"""What GitHub Actions and GitLab CI say of a run in their environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nbmake_dag_reporting import schema
from nbmake_dag_reporting.spans import AttributeValue

_PULL_REF = re.compile(r"refs/pull/(\d+)/(?:merge|head)")


def ci_attributes(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    """Give ``nbdag.ci.*``, ``vcs.*`` and the run's URL; nothing outside of CI."""
    if environ.get("GITHUB_ACTIONS") == "true":
        found = _github(environ)
    elif environ.get("GITLAB_CI") == "true":
        found = _gitlab(environ)
    else:
        return {}
    return {name: value for name, value in found.items() if value}


def _github(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    get = environ.get
    owner, _, name = get("GITHUB_REPOSITORY", "").partition("/")
    repository = f"{get('GITHUB_SERVER_URL', 'https://github.com')}/{owner}/{name}" if name else ""
    pull = _PULL_REF.fullmatch(get("GITHUB_REF", ""))
    run = get("GITHUB_RUN_ID", "")
    attempt = get("GITHUB_RUN_ATTEMPT", "")
    return {
        schema.CI_PROVIDER: "github",
        schema.CI_RUN_ID: run,
        schema.CI_RUN_ATTEMPT: attempt,
        schema.CI_WORKFLOW: get("GITHUB_WORKFLOW"),
        schema.CI_JOB: get("GITHUB_JOB"),
        schema.CI_EVENT: get("GITHUB_EVENT_NAME"),
        schema.CI_ACTOR: get("GITHUB_ACTOR"),
        schema.RUN_URL: f"{repository}/actions/runs/{run}/attempts/{attempt or 1}" if repository and run else "",
        schema.VCS_PROVIDER: "github",
        schema.VCS_REPOSITORY_URL: repository,
        schema.VCS_REPOSITORY_NAME: name,
        schema.VCS_OWNER: owner,
        schema.VCS_HEAD_NAME: get("GITHUB_HEAD_REF") or get("GITHUB_REF_NAME"),
        schema.VCS_HEAD_TYPE: "branch" if pull else get("GITHUB_REF_TYPE"),
        schema.VCS_HEAD_REVISION: get("GITHUB_SHA"),
        schema.VCS_BASE_NAME: get("GITHUB_BASE_REF"),
        schema.VCS_CHANGE_ID: pull[1] if pull else "",
    }


def _gitlab(environ: Mapping[str, str]) -> dict[str, AttributeValue]:
    get = environ.get
    return {
        schema.CI_PROVIDER: "gitlab",
        schema.CI_RUN_ID: get("CI_PIPELINE_ID"),
        schema.CI_WORKFLOW: get("CI_PIPELINE_NAME"),
        schema.CI_JOB: get("CI_JOB_NAME"),
        schema.CI_EVENT: get("CI_PIPELINE_SOURCE"),
        schema.CI_ACTOR: get("GITLAB_USER_LOGIN"),
        schema.RUN_URL: get("CI_JOB_URL"),
        schema.VCS_PROVIDER: "gitlab",
        schema.VCS_REPOSITORY_URL: get("CI_PROJECT_URL"),
        schema.VCS_REPOSITORY_NAME: get("CI_PROJECT_NAME"),
        schema.VCS_OWNER: get("CI_PROJECT_NAMESPACE"),
        schema.VCS_HEAD_NAME: get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or get("CI_COMMIT_REF_NAME"),
        schema.VCS_HEAD_TYPE: "tag" if get("CI_COMMIT_TAG") else "branch",
        schema.VCS_HEAD_REVISION: get("CI_COMMIT_SHA"),
        schema.VCS_BASE_NAME: get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        schema.VCS_BASE_REVISION: get("CI_MERGE_REQUEST_DIFF_BASE_SHA"),
        schema.VCS_CHANGE_ID: get("CI_MERGE_REQUEST_IID"),
        schema.VCS_CHANGE_TITLE: get("CI_MERGE_REQUEST_TITLE"),
    }
