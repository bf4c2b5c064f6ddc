"""Which zones of a shared cache a build reads and writes, told from where it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbmake_dag.engine.shared_cache.trust import trust_of, trust_of_job
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.ci import CiJob

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "owner/repo", "CI": "true"}
GITLAB = {"GITLAB_CI": "true", "CI": "true"}
BRANCH = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF_TYPE": "branch"}
PULL = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_REF_NAME": "main"}
MERGE = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "7"}
PIPELINE = {"CI_PIPELINE_SOURCE": "push"}


def zones(environ: dict[str, str]) -> tuple[tuple[str, ...], str | None]:
    trust = trust_of(environ, ("main", "release"))
    assert (trust.zones.writes is None) == bool(trust.refusal)
    return trust.zones.reads, trust.zones.writes


MAIN = (("main",), "main")
NOTHING = (("main",), None)


def own(zone: str) -> tuple[tuple[str, ...], str]:
    return ("main", zone), zone


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, own("local")),
        ({"CI": "false"}, own("local")),
        ({"CI": "true"}, NOTHING),
        ({"CI": "true", "NBDAG_CACHE_ZONE": "nightly"}, own("nightly")),
        ({"CI": "true", "NBDAG_CACHE_ZONE": "main"}, MAIN),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "main"}, MAIN),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "release"}, MAIN),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "main", "GITHUB_EVENT_NAME": "schedule"}, MAIN),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "main", "GITHUB_EVENT_NAME": "workflow_dispatch"}, MAIN),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "main", "GITHUB_EVENT_NAME": "pull_request_target"}, NOTHING),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "main", "GITHUB_EVENT_NAME": "workflow_run"}, NOTHING),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "main", "GITHUB_EVENT_NAME": "issue_comment"}, NOTHING),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "Main"}, own("branch-Main-eb814be3ca3b78c0")),
        ({**GITHUB, **BRANCH, "GITHUB_REF_NAME": "../main"}, own("branch--main-485d6d6b265d5684")),
        (
            {**GITHUB, **BRANCH, "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "tag"},
            own("tag-main-0d6e4079e36703eb"),
        ),
        ({**GITHUB, "NBDAG_CACHE_ZONE": "main"}, NOTHING),
        ({**GITLAB, **PIPELINE, "CI_COMMIT_REF_NAME": "main"}, MAIN),
        (
            {**GITLAB, **PIPELINE, "CI_COMMIT_REF_NAME": "main", "CI_COMMIT_TAG": "main"},
            own("tag-main-0d6e4079e36703eb"),
        ),
        ({**GITLAB, **PIPELINE, "CI_COMMIT_REF_NAME": "x"}, own("branch-x-2d711642b726b044")),
        ({**GITLAB, "CI_PIPELINE_SOURCE": "external_pull_request_event"}, NOTHING),
        (
            {
                **GITLAB,
                **MERGE,
                "CI_MERGE_REQUEST_PROJECT_ID": "1",
                "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
                "CI_COMMIT_REF_NAME": "main",
            },
            own("pull-7"),
        ),
        (
            {**GITLAB, **MERGE, "CI_MERGE_REQUEST_PROJECT_ID": "1", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "2"},
            NOTHING,
        ),
        ({**GITLAB, **MERGE}, NOTHING),
    ],
)
def test_a_build_has_the_zone_of_what_it_builds(environ, expected):
    """Main is written from trusted branches alone, by events that run what is on them."""
    assert zones(environ) == expected


def event(path: Path, head: object) -> dict[str, str]:
    path.write_text(json.dumps({"pull_request": {"head": head}}))
    return {**GITHUB, **PULL, "GITHUB_EVENT_PATH": str(path)}


def test_a_pull_request_has_a_zone_of_its_own(tmp_path: Path):
    """Its head lies in the repository itself."""
    environ = event(tmp_path / "event.json", {"repo": {"full_name": "Owner/Repo"}})
    assert zones(environ) == own("pull-7")


@pytest.mark.parametrize("head", [{"repo": {"full_name": "stranger/repo"}}, {"repo": None}, {}, None, 7])
def test_a_pull_request_from_a_fork_writes_nothing(tmp_path: Path, head: object):
    """Nor does one of which nobody knows where it is from."""
    assert zones(event(tmp_path / "event.json", head)) == NOTHING


def test_a_pull_request_without_a_description_writes_nothing(tmp_path: Path):
    """The file is missing, or is no JSON."""
    (tmp_path / "bad.json").write_text("[" * 100_000)
    for path in ("", str(tmp_path / "missing"), str(tmp_path / "bad.json")):
        assert zones({**GITHUB, **PULL, "GITHUB_EVENT_PATH": path}) == NOTHING


@pytest.mark.parametrize("zone", ["", "../main", "a/b", "a b", "x" * 65])
def test_a_zone_that_is_no_name_is_refused(zone: str):
    """It would be part of a path."""
    with pytest.raises(UsageError, match="NBDAG_CACHE_ZONE"):
        trust_of({"NBDAG_CACHE_ZONE": zone}, ())


def test_a_provider_without_known_events_writes_nothing() -> None:
    """One that the record of runs knows, and this decision does not."""
    job = CiJob(provider="forgejo", event="push", ref_type="branch", ref_name="main", default_branch="main")
    trust = trust_of_job(job, ["main"])
    assert (trust.zones.writes, "may run code that nobody reviewed" in trust.refusal) == (None, True)
