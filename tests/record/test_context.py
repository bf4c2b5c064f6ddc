"""What a run says of its surroundings: identifiers, CI, git, the machine."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from nbmake_dag.observe.ci import CiJob, ci_attributes, ci_job
from nbmake_dag.observe.git import is_dirty
from nbmake_dag.observe.vcs import git_attributes, remote_attributes
from nbmake_dag.record.ids import SpanIds, new_run_id, new_trace_id, parse_traceparent, run_url, task_url
from nbmake_dag.record.resource import run_resource
from nbmake_dag_reporting import schema

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "ada/digits",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_RUN_ID": "42",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_WORKFLOW": "daily",
    "GITHUB_JOB": "build",
    "GITHUB_EVENT_NAME": "schedule",
    "GITHUB_ACTOR": "ada",
    "GITHUB_HEAD_REF": "",
    "GITHUB_BASE_REF": "",
}


def test_run_ids_sort_by_time() -> None:
    """UTC, with milliseconds."""
    first = new_run_id(1_769_903_999_123_999_999, "a1b2c3" + "0" * 26)
    assert first == "20260131-235959-123-a1b2c3"
    assert first < new_run_id(1_769_904_000_000_000_000, "0" * 32)


def test_identifiers_are_valid_and_distinct() -> None:
    """32 and 16 hexadecimal digits, never all zero."""
    ids = SpanIds()
    spans = [ids.new() for _ in range(1000)]
    assert len(set(spans)) == 1000
    assert {len(span) for span in spans} == {16}
    assert len(new_trace_id()) == 32
    assert parse_traceparent(f"00-{new_trace_id()}-{spans[0]}-01")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-xyz",
        f"ff-{'ab' * 16}-{'cd' * 8}-01",
        f"00-{'0' * 32}-{'cd' * 8}-01",
        f"00-{'ab' * 16}-{'0' * 16}-01",
        f"00-{'AB' * 16}-{'cd' * 8}-01",
    ],
)
def test_a_malformed_traceparent_is_ignored(text: str) -> None:
    """As W3C Trace Context says."""
    assert parse_traceparent(text) is None


def test_github_actions_describes_a_scheduled_run() -> None:
    """Repository, branch, commit, job, actor."""
    assert ci_attributes(GITHUB) == {
        "nbdag.ci.provider": "github",
        "nbdag.ci.run.id": "42",
        "nbdag.ci.run.attempt": "2",
        "nbdag.ci.workflow": "daily",
        "nbdag.ci.job": "build",
        "nbdag.ci.event": "schedule",
        "nbdag.ci.actor": "ada",
        "cicd.pipeline.run.url.full": "https://github.com/ada/digits/actions/runs/42/attempts/2",
        "vcs.provider.name": "github",
        "vcs.repository.url.full": "https://github.com/ada/digits",
        "vcs.repository.name": "digits",
        "vcs.owner.name": "ada",
        "vcs.ref.head.name": "main",
        "vcs.ref.head.type": "branch",
        "vcs.ref.head.revision": "c" * 40,
    }


def pull_request(folder: Path, *, source: str | None = "ada/digits") -> dict[str, str]:
    """Give the variables of a job for pull request 7, and the file with its event, as GitHub writes them."""
    event = {
        "action": "synchronize",
        "number": 7,
        "pull_request": {
            "number": 7,
            "title": "Fix the split",
            "head": {"ref": "fix", "sha": "a" * 40, "repo": source and {"full_name": source}},
            "base": {"ref": "main", "sha": "b" * 40, "repo": {"full_name": "ada/digits"}},
        },
    }
    path = folder / "event.json"
    path.write_text(json.dumps(event))
    return GITHUB | {
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_REF_NAME": "7/merge",
        "GITHUB_HEAD_REF": "fix",
        "GITHUB_BASE_REF": "main",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(path),
    }


def test_github_actions_describes_a_pull_request(tmp_path: Path) -> None:
    """Its number and title, its own branch and commit, the trial merge, and the branch it aims at."""
    found = ci_attributes(pull_request(tmp_path))
    assert {name: value for name, value in found.items() if "vcs.ref" in name or "change" in name} == {
        "vcs.ref.head.name": "fix",
        "vcs.ref.head.type": "branch",
        "vcs.ref.head.revision": "a" * 40,
        "vcs.ref.base.name": "main",
        "vcs.ref.base.revision": "b" * 40,
        "vcs.change.id": "7",
        "vcs.change.title": "Fix the split",
    }
    assert found["nbdag.vcs.merge.revision"] == "c" * 40


@pytest.mark.parametrize("content", [None, "", "{", "[]", "[" * 100_000, '{"pull_request": {"head": 3}}'])
def test_an_event_that_cannot_be_read_leaves_what_the_variables_say(tmp_path: Path, content: str | None) -> None:
    """The number is in the ref's name; the commit is the one that was checked out; nobody is trusted."""
    environ = pull_request(tmp_path)
    if content is None:
        del environ["GITHUB_EVENT_PATH"]
    else:
        Path(environ["GITHUB_EVENT_PATH"]).write_text(content)
    found = ci_attributes(environ)
    names = (schema.VCS_CHANGE_ID, schema.VCS_HEAD_NAME, schema.VCS_HEAD_REVISION, schema.VCS_BASE_NAME)
    assert [found[name] for name in names] == ["7", "fix", "c" * 40, "main"]
    assert schema.VCS_CHANGE_TITLE not in found
    job = ci_job(environ)
    assert job
    assert job.from_fork


def test_a_pull_request_is_not_its_branch(tmp_path: Path) -> None:
    """Nor is it the branch that it aims at: a job for it stands for neither."""
    assert ci_job(pull_request(tmp_path)) == CiJob(
        provider="github",
        runs="change",
        event="pull_request",
        change="7",
        base_branch="main",
        base_revision="b" * 40,
    )


@pytest.mark.parametrize("source", ["eve/digits", None])
def test_a_pull_request_from_a_fork_is_known_as_such(tmp_path: Path, source: str | None) -> None:
    """Also where the fork was deleted meanwhile, and for every event that a pull request causes."""
    environ = pull_request(tmp_path, source=source)
    for event in ("pull_request", "pull_request_target", "pull_request_review", "issue_comment"):
        job = ci_job(environ | {"GITHUB_EVENT_NAME": event})
        assert job
        assert job.from_fork, event


@pytest.mark.parametrize(
    ("event", "source", "foreign"),
    [
        ("push", None, False),
        ("schedule", None, False),
        ("workflow_dispatch", None, False),
        ("workflow_run", "ada/digits", False),
        ("workflow_run", "eve/digits", True),
        ("issue_comment", None, True),
    ],
)
def test_only_those_who_can_write_to_the_repository_start_what_is_not_foreign(
    tmp_path: Path, event: str, source: str | None, *, foreign: bool
) -> None:
    """A workflow that follows another one may be that of a fork's pull request; a comment is anybody's."""
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"workflow_run": {"head_repository": {"full_name": source}}}))
    job = ci_job(GITHUB | {"GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": str(path)})
    assert job
    assert (job.ref_type, job.ref_name, job.change, job.from_fork) == ("branch", "main", None, foreign)


GITLAB_MERGE_REQUEST = {
    "GITLAB_CI": "true",
    "CI_PIPELINE_ID": "9",
    "CI_JOB_NAME": "build",
    "CI_JOB_URL": "https://gitlab.com/g/p/-/jobs/1",
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "GITLAB_USER_LOGIN": "ada",
    "CI_PROJECT_URL": "https://gitlab.com/g/p",
    "CI_PROJECT_NAME": "p",
    "CI_PROJECT_NAMESPACE": "g",
    "CI_COMMIT_SHA": "c" * 40,
    "CI_COMMIT_REF_NAME": "refs/merge-requests/3/head",
    "CI_MERGE_REQUEST_IID": "3",
    "CI_MERGE_REQUEST_TITLE": "Fix",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": "b" * 40,
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1",
    "CI_MERGE_REQUEST_PROJECT_ID": "1",
}


def test_gitlab_tells_a_merge_request_from_a_fork() -> None:
    """By the projects of both sides; where one is not named, the request is foreign."""
    ours = ci_job(GITLAB_MERGE_REQUEST)
    assert ours == CiJob(
        provider="gitlab",
        runs="change",
        event="merge_request_event",
        change="3",
        base_branch="main",
        base_revision="b" * 40,
    )
    for source in ("2", ""):
        job = ci_job(GITLAB_MERGE_REQUEST | {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": source})
        assert job
        assert job.from_fork


def test_gitlab_describes_a_pipeline_of_merged_results() -> None:
    """The commit is that of the branch, as in every other pipeline; the trial merge stands beside it."""
    found = ci_attributes(
        GITLAB_MERGE_REQUEST
        | {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "a" * 40, "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "d" * 40}
    )
    names = (schema.VCS_HEAD_REVISION, schema.VCS_MERGE_REVISION, schema.VCS_BASE_REVISION)
    assert [found[name] for name in names] == ["a" * 40, "c" * 40, "d" * 40]


def test_gitlab_describes_a_merge_request() -> None:
    """The same facts under the same names."""
    found = ci_attributes(GITLAB_MERGE_REQUEST)
    assert found == {
        "nbdag.ci.provider": "gitlab",
        "nbdag.ci.run.id": "9",
        "nbdag.ci.job": "build",
        "nbdag.ci.event": "merge_request_event",
        "nbdag.ci.actor": "ada",
        "cicd.pipeline.run.url.full": "https://gitlab.com/g/p/-/jobs/1",
        "vcs.provider.name": "gitlab",
        "vcs.repository.url.full": "https://gitlab.com/g/p",
        "vcs.repository.name": "p",
        "vcs.owner.name": "g",
        "vcs.ref.head.name": "fix",
        "vcs.ref.head.type": "branch",
        "vcs.ref.head.revision": "c" * 40,
        "vcs.ref.base.name": "main",
        "vcs.ref.base.revision": "b" * 40,
        "vcs.change.id": "3",
        "vcs.change.title": "Fix",
    }


def test_outside_of_ci_nothing_is_said_of_it() -> None:
    """Variables that merely look alike do not count."""
    environ = {"GITHUB_REPOSITORY": "ada/digits", "CI_JOB_URL": "x"}
    assert ci_attributes(environ) == {}
    assert ci_job(environ) is None


@pytest.mark.parametrize(
    ("url", "full", "owner", "name", "provider"),
    [
        ("https://github.com/ada/digits.git", "https://github.com/ada/digits", "ada", "digits", "github"),
        ("https://ada:secret@github.com/ada/digits", "https://github.com/ada/digits", "ada", "digits", "github"),
        ("git@gitlab.com:g/sub/p.git", "https://gitlab.com/g/sub/p", "g/sub", "p", "gitlab"),
        ("ssh://git@bitbucket.org:22/a/b.git", "https://bitbucket.org/a/b", "a", "b", "bitbucket"),
        ("https://git.example.org/a/b", "https://git.example.org/a/b", "a", "b", None),
    ],
)
def test_remotes_are_named_without_passwords(
    url: str, full: str, owner: str, name: str, provider: str | None
) -> None:
    """As a URL that a browser opens."""
    found = remote_attributes(url)
    keys = (schema.VCS_REPOSITORY_URL, schema.VCS_OWNER, schema.VCS_REPOSITORY_NAME, schema.VCS_PROVIDER)
    assert tuple(found.get(key) for key in keys) == (full, owner, name, provider)


@pytest.mark.parametrize("url", ["/home/ada/digits.git", "../digits", "file:///home/ada/digits"])
def test_a_local_remote_is_not_told(url: str) -> None:
    """It is a path of this machine."""
    assert remote_attributes(url) == {}


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "digits"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a").write_text("1")
    git(root, "add", "a")
    git(root, "commit", "-q", "-m", "Begin")
    git(root, "remote", "add", "origin", "git@github.com:ada/digits.git")
    return root


def told(directory: Path) -> tuple[object, ...]:
    found = git_attributes(str(directory))
    names = (schema.VCS_HEAD_NAME, schema.VCS_HEAD_TYPE, schema.VCS_HEAD_REVISION, schema.VCS_REPOSITORY_NAME)
    return tuple(found.get(name) for name in names)


def test_git_is_read_without_a_process(repository: Path) -> None:
    """A branch, a packed one, a worktree, a detached head: as git itself says."""
    revision = git(repository, "rev-parse", "HEAD")
    assert told(repository) == ("main", "branch", revision, "digits")
    git(repository, "pack-refs", "--all")
    assert told(repository) == ("main", "branch", revision, "digits")
    git(repository, "worktree", "add", "-q", "-b", "feature/x", "../tree")
    assert told(repository.parent / "tree") == ("feature/x", "branch", revision, "digits")
    git(repository, "checkout", "-q", "--detach")
    assert told(repository) == (None, None, revision, "digits")


def test_a_repository_without_a_commit_or_none_at_all_tells_nothing(tmp_path: Path) -> None:
    """A build outside git is no error."""
    assert git_attributes(str(tmp_path)) == {}
    git(tmp_path, "init", "-q")
    assert git_attributes(str(tmp_path)) == {schema.VCS_HEAD_NAME: "main", schema.VCS_HEAD_TYPE: "branch"}


def test_what_is_no_file_in_a_repository_keeps_nobody_waiting(repository: Path, tmp_path: Path) -> None:
    """A FIFO is read when somebody writes to it: never."""
    (repository / ".git" / "HEAD").unlink()
    os.mkfifo(repository / ".git" / "HEAD")
    os.mkfifo(tmp_path / ".git")
    assert schema.VCS_HEAD_NAME not in git_attributes(str(repository))
    assert git_attributes(str(tmp_path)) == {}


def test_no_record_has_more_of_a_branch_than_git_could_name(repository: Path) -> None:
    """Whoever wrote what is in ``HEAD``."""
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/" + "x" * 1_000_000)
    assert len(str(git_attributes(str(repository))[schema.VCS_HEAD_NAME])) < 4096


def test_dirty_is_what_git_status_says(repository: Path, tmp_path: Path) -> None:
    """Tracked files that differ; unknown outside of git."""
    assert is_dirty(str(repository)) is False
    (repository / "untracked").write_text("1")
    assert is_dirty(str(repository)) is False
    (repository / "a").write_text("22")
    assert is_dirty(str(repository)) is True
    assert is_dirty(str(tmp_path)) is None


def test_a_resource_has_only_documented_attributes(repository: Path) -> None:
    """And none is a level above another."""
    resource = run_resource(
        pipeline="digits",
        run_id="r1",
        version="0.1.0",
        root=str(repository),
        repository=str(repository),
        environ=GITHUB | {"USER": "ada"},
        dirty=True,
    )
    keys = list(resource.attributes)
    assert [key for key in keys if schema.find(key) is None] == []
    assert [(a, b) for a in keys for b in keys if b.startswith(f"{a}.")] == []
    assert resource.attributes[schema.VCS_DIRTY] is True
    assert resource.attributes[schema.PROCESS_PID] == os.getpid()


def test_standard_variables_name_the_service(tmp_path: Path) -> None:
    """``OTEL_SERVICE_NAME`` wins over ``OTEL_RESOURCE_ATTRIBUTES``, whose other values are added."""
    environ = {
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment.name=staging%20two,,bad",
        "OTEL_SERVICE_NAME": "b",
    }
    attributes = run_resource(
        pipeline="p", run_id="r", version="1", root="/", repository=str(tmp_path), environ=environ
    ).attributes
    assert attributes["service.name"] == "b"
    assert attributes["deployment.environment.name"] == "staging two"


def test_urls_are_urls() -> None:
    """Whatever a folder or a task is named."""
    assert task_url(run_url("/a b/ü"), 't[x="#"]') == "file:///a%20b/%C3%BC/#t%5Bx%3D%22%23%22%5D"
