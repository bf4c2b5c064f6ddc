"""The story of a repository on GitHub: its developer's clone, pushes, a pull request, and its runner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.github import FakeGitHub, serving, zipped_as
from tests.support.project import Project
from tests.support.workflow import Job, Runner


@dataclass
class Story:
    """A repository on GitHub, the clone of its developer, and its runner."""

    here: Project
    runner: Runner

    def sha(self, ref: str = "HEAD") -> str:
        return self.here.git("rev-parse", ref).strip()

    def push(self) -> Job:
        """Push what the developer's main branch has, and play the workflow for it."""
        before = self.here.git("ls-remote", "origin", "refs/heads/main").split()
        self.here.git("push", "-q", "origin", "main")
        return self.on_main("push.yml", "push", before=before[0] if before else "0" * 40)

    def on_main(self, workflow: str, event: str, **more: Any) -> Job:
        return self.play(workflow, event, **more)["build"]

    def play(self, workflow: str | Path, event: str, **more: Any) -> dict[str, Job]:
        """Play a workflow for what the developer's main branch has."""
        given: dict[str, Any] = {"event_name": event, "event": more, "ref": "refs/heads/main"}
        return self.runner.play(workflow, sha=self.sha("main"), **given)

    def pull_request(self, workflow: str | Path = "pull-request.yml") -> dict[str, Job]:
        """Push the developer's branch, for which a pull request is open, and play both jobs of its workflow."""
        head = self.sha("fix")
        self.here.git("checkout", "-q", "--detach", "main")
        self.here.git("merge", "-q", "--no-ff", "-m", "trial", "fix")
        merge = self.sha()
        self.here.git("push", "-q", "-f", "origin", "HEAD:refs/pull/7/merge", "fix")
        self.here.git("checkout", "-q", "fix")
        ours = {"full_name": "ada/digits"}
        pull = {
            "number": 7,
            "title": "Weigh the days",
            "head": {"ref": "fix", "sha": head, "repo": ours},
            "base": {"ref": "main", "sha": self.sha("main"), "repo": ours},
        }
        github: dict[str, Any] = {
            "event_name": "pull_request",
            "event": {"pull_request": pull},
            "ref": "refs/pull/7/merge",
            "sha": merge,
            "head_ref": "fix",
            "base_ref": "main",
        }
        return self.runner.play(workflow, **github)

    def comment(self) -> str:
        """Return the one comment of the pull request, without its marker."""
        (comment,) = self.runner.repository["comments"]
        marker, _, text = comment["body"].partition("\n")
        assert marker == "<!-- nbdag: default -->"
        return text

    def pages(self, event: str = "workflow_run") -> dict[str, Job]:
        """Publish the site from all records that the jobs left as artefacts, and that have not expired."""
        with serving(FakeGitHub(page_size=100)) as github:
            for name, folder in self.runner.artifacts.items():
                number = self.runner.numbers[name]
                github.add(number, zipped_as({path.name: path.read_bytes() for path in folder.iterdir()}), name)
            self.runner.environment["GITHUB_API_URL"] = github.base
            return self.play("pages.yml", event)


def published(here: Project, **environment: str) -> Story:
    """Commit all of a developer's clone to its main branch, and make a repository on GitHub for it."""
    here.write("requirements.txt", "nbmake-dag\n").commit().git("branch", "-M", "main")
    origin = Project(here.root.parents[1] / "github.git")
    origin.git("init", "-q", "--bare")
    origin.git("symbolic-ref", "HEAD", "refs/heads/main")
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
    here.git("remote", "add", "origin", str(origin.root))
    return Story(here, Runner(here.root.parents[1] / "runner", origin.root, environment=environment))
