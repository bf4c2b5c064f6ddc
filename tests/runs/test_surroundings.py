"""Files of the repository as the commit of a run has them, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nbmake_dag.observe.project import Project
from nbmake_dag.runs.surroundings import committed_pictures
from nbmake_dag_reporting.run import Run
from nbmake_dag_reporting.runs import read_run
from tests.reporting.fabricate import Fabric, Made


def run_git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a pipeline below the root of a repository, with a commit, and a change that is in none."""
    root = tmp_path / "repository"
    (root / "below").mkdir(parents=True)
    (tmp_path / "outside.png").write_bytes(b"outside")
    (root / "a.png").write_bytes(b"first")
    (root / "below" / "[b].png").write_bytes(b"b")
    (root / "link.png").symlink_to("../outside.png")
    (root / "large.png").write_bytes(bytes(11 << 20))
    run_git(root, "init", "-q")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "one")
    (root / "a.png").write_bytes(b"changed")
    (root / "new.png").write_bytes(b"new")
    return Project(config=str(root / "below" / "pipeline.toml"), root=str(root / "below"), repository=str(root))


def run_of(folder: Path, commit: str) -> Run:
    fabric = Fabric(folder)
    return read_run(str(fabric.runs / fabric.run(1, Made(name="a"), commit=commit)), fabric.record)


def test_a_picture_is_that_of_the_commit(project: Project, tmp_path: Path) -> None:
    """What changed since, what is in no commit, links, large files and all outside the repository is left out."""
    run = run_of(tmp_path, run_git(Path(project.repository), "rev-parse", "HEAD"))
    wanted = [
        "../a.png",
        "[b].png",
        "../new.png",
        "../link.png",
        "../large.png",
        "../../outside.png",
        "../.git/HEAD",
    ]
    assert committed_pictures(project, run, wanted) == {"../a.png": b"first", "[b].png": b"b"}
    assert committed_pictures(project, run, ["../../outside.png"]) == {}


@pytest.mark.parametrize("commit", ["e" * 40, "HEAD", "--help", "HEAD:below"])
def test_a_commit_that_is_none_of_here_has_no_pictures(project: Project, tmp_path: Path, commit: str) -> None:
    """A run may come from another repository, or from a stranger who chose what stands there."""
    assert committed_pictures(project, run_of(tmp_path, commit), ["../a.png"]) == {}
