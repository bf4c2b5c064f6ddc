"""The example for GitLab: a merge request with its note, tests and metrics, and the site, played by a runner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.support.gitlab import FakeGitLab, GitLabRunner, Played, read_configuration, serving
from tests.support.project import Project

EXAMPLE = Path(__file__).parents[2] / "examples/gitlab-ci/nbdag.yml"
PIPELINE = """
    [pipeline]
    name = "towns"

    [parameters]
    town = "helsinki"

    [tasks.draw]
    function = "work:draw"
    outputs = ["chart.svg"]
    secrets = ["API_KEY"]

    [report.metrics.days]
    direction = "higher"
"""
WORK = """
    import nbmake_dag as nbdag

    def draw(town, outputs):
        if town == "":
            raise ValueError("no town")
        open(outputs[0], "w").write(f"<svg>{town}</svg>")
        nbdag.log_metric("days", float(len(town)))
"""
MARKER = "<!-- nbdag: default -->\n"


class Story:
    """A project on GitLab, the clone of its developer, and its runner."""

    def __init__(self, root: Path, gitlab: FakeGitLab) -> None:
        self.gitlab = gitlab
        self.here = Project(root / "here").pipeline(PIPELINE).write("work.py", WORK)
        self.here.write(".gitignore", "/.nbdag/\n/chart.svg\n__pycache__/\n").commit().git("branch", "-M", "main")
        origin = Project(root / "gitlab.git")
        origin.git("init", "-q", "--bare")
        self.here.git("remote", "add", "origin", str(origin.root))
        self.runner = GitLabRunner(root / "runner", origin.root)
        self.variables = {
            "CI_API_V4_URL": gitlab.base,
            "CI_DEFAULT_BRANCH": "main",
            "CI_PROJECT_ID": "1",
            "CI_PROJECT_URL": "https://gitlab.example/ada/digits",
            "CI_PROJECT_VISIBILITY": "private",
            "API_KEY": "hunter22-hunter22",
        }

    def push(self) -> dict[str, Played]:
        """Push the developer's main branch, and play its pipeline."""
        self.here.git("push", "-q", "origin", "main")
        return self.play(CI_COMMIT_BRANCH="main", CI_COMMIT_REF_NAME="main", CI_COMMIT_REF_SLUG="main")

    def merge_request(self, **more: str) -> dict[str, Played]:
        """Push the developer's branch, for which there is a merge request, and play its pipeline."""
        self.here.git("push", "-q", "-f", "origin", "fix")
        return self.play(
            CI_COMMIT_REF_NAME="fix",
            CI_COMMIT_REF_SLUG="fix",
            CI_PIPELINE_SOURCE="merge_request_event",
            CI_MERGE_REQUEST_IID="7",
            CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main",
            CI_MERGE_REQUEST_SOURCE_BRANCH_NAME="fix",
            CI_COMMIT_BEFORE_SHA="0" * 40,
            **more,
        )

    def play(self, **variables: str) -> dict[str, Played]:
        content: dict[str, Any] = read_configuration(EXAMPLE)
        return self.runner.play(content, self.here.git("rev-parse", "HEAD").strip(), **self.variables, **variables)


def test_the_example_is_what_gitlab_accepts():
    """As its schema has it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_pipeline_lives_on_gitlab(tmp_path):
    """Each job finds what others built, a merge request shows what it changed, and one reason is one red job."""
    with serving(FakeGitLab()) as gitlab:
        story = Story(tmp_path, gitlab)
        pushed = story.push()
        assert {name: job.code for name, job in pushed.items()} == {"nbdag": 0, "pages": 0}
        assert "warning: this project is private" in pushed["pages"].log
        assert story.runner.site is not None
        assert (story.runner.site / "index.html").exists()

        story.here.git("checkout", "-q", "-b", "fix")
        same = story.merge_request(NBDAG_GITLAB_TOKEN="t")
        assert same["nbdag"].summary["counts"]["ran"] == 0, same["nbdag"].log
        story.here.edit("pipeline.toml", '"helsinki"', '"oslo"').commit()
        # a person may quote the marker, and there may be many notes
        others = [{"id": 1, "author": {"id": 6}, "body": f"{MARKER}quoted"}]
        others += [{"id": number, "author": {"id": 5}, "body": "another tool of ours"} for number in range(2, 102)]
        gitlab.notes = [dict(note) for note in others]
        jobs: dict[str, Played] = {}
        for _ in range(2):
            jobs = story.merge_request(NBDAG_GITLAB_TOKEN="t")
            assert {name: job.code for name, job in jobs.items()} == {"nbdag": 0, "nbdag-note": 0}
            assert gitlab.notes[:-1] == others
        note = gitlab.notes[-1]["body"]
        assert note.startswith(f"{MARKER}**")
        assert "| draw | days (higher is better) | 8.0 | 4.0 | -4 (-50.0%) ▼ worse |" in note
        assert "[The pictures that differ](https://gitlab.example/ada/digits/-/jobs/" in note
        reports = jobs["nbdag"].workspace / "nbdag-ci"
        assert (reports / "metrics.txt").read_text().splitlines()[1] == 'nbdag_metric{task="draw",name="days"} 4.0'

        story.here.edit("pipeline.toml", '"oslo"', '""').commit()
        failed = story.merge_request()
        assert {name: job.code for name, job in failed.items()} == {"nbdag": 1, "nbdag-note": 0}
        assert "no note is written: NBDAG_GITLAB_TOKEN is not set" in failed["nbdag-note"].log
        (failure,) = ET.parse(failed["nbdag"].workspace / "nbdag-ci/junit.xml").iter("failure")
        assert failure.attrib["message"] == "ValueError: no town"

        story.here.edit("pipeline.toml", "function", "funktion").commit()
        wrong = story.merge_request(NBDAG_GITLAB_TOKEN="t")
        assert {name: job.code for name, job in wrong.items()} == {"nbdag": 2, "nbdag-note": 0}
        assert gitlab.notes[-1]["body"] == note


@pytest.mark.slow
def test_what_is_refused_is_not_in_gitlabs_cache(tmp_path):
    """What cannot be searched leaves the build as it was, and the cache of before."""
    with serving(FakeGitLab()) as gitlab:
        story = Story(tmp_path, gitlab)
        story.push()
        kept = sorted(path.name for path in (story.runner.root / "caches").rglob("*") if path.is_file())
        story.runner.fails = "cache"
        story.here.edit("pipeline.toml", '"helsinki"', '"oslo"').commit()
        jobs = story.push()
        assert jobs["nbdag"].code == 0, jobs["nbdag"].log
        assert "the cache may hold a secret, and is not saved" in jobs["nbdag"].log
        assert kept == sorted(path.name for path in (story.runner.root / "caches").rglob("*") if path.is_file())
