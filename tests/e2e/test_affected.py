"""`nbdag build --affected`: what a branch changed, as git tells it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.project import Project

PIPELINE = """
    [pipeline]
    name = "p"

    [software]
    lockfiles = ["analysis.lock"]

    [tasks.ingest]
    command = ["cp", "raw/numbers.txt", "data/numbers.txt"]
    inputs = ["raw/numbers.txt"]
    outputs = ["data/numbers.txt"]

    [tasks.count]
    function = "work:count"
    matrix = { step = [1, 2] }
    inputs = ["data/numbers.txt"]
    outputs = ["data/{step}.txt"]

    [tasks.page]
    command = "cat data/*.txt texts/*.md > page.txt"
    inputs = ["data/*.txt", "texts/*.md"]
    outputs = ["page.txt"]

    [tasks.look]
    notebook = "look.py"
    timeout = "10m"

    [tasks.after]
    command = "true"
    after = ["look"]
"""
ALL = ["after", "count[step=1]", "count[step=2]", "ingest", "look", "page"]
COUNTED = ["count[step=1]", "count[step=2]", "page"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Project:
    """Build a pipeline on the main branch, once."""
    project = Project(tmp_path_factory.mktemp("built") / "repository")
    project.write(".gitignore", "/.nbdag/\n/data/\n/page.txt\n__pycache__/\n").pipeline(PIPELINE)
    project.write("raw/numbers.txt", "1\n2\n").write("texts/a.md", "A\n").write("texts/b.md", "B\n")
    project.write("analysis.lock", "x==1\n").write("unrelated.txt", "")
    project.write("helpers.py", "def length(path):\n    return len(open(path).readlines())\n")
    project.write(
        "work.py",
        """
        import helpers

        def count(step, inputs, outputs):
            open(outputs[0], "w").write(str(helpers.length(inputs[0]) // step))
        """,
    )
    project.notebook("look.py", "1 + 1")
    project.commit().git("branch", "-M", "main")
    assert project.build().code == 0
    return project


@pytest.fixture
def branch(built, tmp_path) -> Project:
    """Make a branch of it, on which nothing is committed yet."""
    project = Project.copied(built.root, tmp_path / "branch")
    project.git("checkout", "-q", "-b", "feature")
    return project


def affected(project: Project, *arguments: str, **environ: str) -> list[str]:
    """Return the tasks that would be forced to run: the targets that remain."""
    done = project.nbdag("build", "-n", "-B", *arguments, env={"CI": "", "GITHUB_ACTIONS": "", **environ})
    assert done.returncode == 0, done.stderr
    return sorted(line.split()[2] for line in done.stdout.splitlines() if line.startswith("will run"))


def refused(project: Project, *arguments: str, **environ: str) -> str:
    done = project.nbdag("build", "-n", *arguments, env={"CI": "", "GITHUB_ACTIONS": "", **environ})
    assert done.returncode == 2, done.stdout
    return done.stderr


def drop_text(project: Project) -> None:
    project.remove("texts/b.md")


EDITS = {
    "nothing": (lambda project: None, []),
    "a file that no task names": (lambda project: project.write("unrelated.txt", "x"), []),
    "an input": (lambda project: project.write("raw/numbers.txt", "3\n"), ["ingest", *COUNTED]),
    "a module": (lambda project: project.edit("work.py", "//", "-"), COUNTED),
    "a module's module": (lambda project: project.write("helpers.py", "length = len\n"), COUNTED),
    "a new file of a glob": (lambda project: project.write("texts/c.md", "C\n"), ["page"]),
    "a file that left a glob": (drop_text, ["page"]),
    "a renamed file": (lambda project: project.git("mv", "texts/b.md", "b.md"), ["page"]),
    "a notebook, and what comes after it": (lambda project: project.notebook("look.py", "2"), ["after", "look"]),
    "the lock file": (lambda project: project.write("analysis.lock", "x==2\n"), ALL),
    "one task's declaration": (lambda project: project.edit("pipeline.toml", '"true"', '"false"'), ["after"]),
    "a new instance": (
        lambda project: project.edit("pipeline.toml", "[1, 2]", "[1, 2, 3]"),
        ["count[step=3]", "page"],
    ),
    "a timeout and a comment": (lambda project: project.edit("pipeline.toml", '"10m"', '"1h"  # more'), []),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_rests_on_a_changed_file_is_affected_and_all_below_it(branch, edit):
    """Whether the change is committed or not; nothing else is."""
    make, expected = EDITS[edit]
    make(branch)
    assert affected(branch, "--affected=main") == sorted(expected)
    branch.git("add", "-A")
    branch.git("commit", "-q", "--allow-empty", "-m", "edit")
    assert affected(branch, "--affected=main") == sorted(expected)


def test_what_a_computed_name_or_a_pair_may_mean_is_affected(project: Project) -> None:
    """A script without an ending, the text that a notebook is paired with, and what says so."""
    notebook = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    project.write("run", "echo 1\n").write("n.ipynb", notebook).write("n.py", "# %%\n1\n").write("other.py", "")
    project.pipeline('[tasks.t]\ncommand = "sh $RUN"\n\n[tasks.n]\nnotebook = "n.ipynb"\n')
    project.write(".gitignore", "/.nbdag/\n").commit().git("branch", "-M", "main")
    project.git("checkout", "-q", "-b", "feature")
    project.write("run", "echo 2\n")
    assert affected(project, "--affected=main") == ["t"]
    project.write("run", "echo 1\n").write("n.py", "# %%\n2\n")
    assert affected(project, "--affected=main") == ["n", "t"]
    project.write("n.py", "# %%\n1\n").write("jupytext.toml", 'formats = "ipynb,py:percent"\n')
    assert affected(project, "--affected=main") == ["n"]


def test_what_the_base_changed_meanwhile_is_not_affected(branch):
    """The last common commit is compared, not the base as it now is."""
    branch.git("checkout", "-q", "main")
    branch.edit("look.py", "1 + 1", "3").commit()
    branch.git("checkout", "-q", "feature")
    branch.write("texts/c.md", "C\n").commit()
    assert affected(branch, "--affected=main") == ["page"]


def test_targets_are_restricted_to_the_affected_ones(branch):
    """Of what is named only what changed, but also what is below a change that nobody named."""
    branch.write("work.py", branch.read("work.py") + "# more\n")
    assert affected(branch, "--affected=main", "page", "look") == ["page"]
    assert affected(branch, "--affected=main", "look") == []
    assert affected(branch, "--affected=main", "--exclude", "count") == ["page"]


def test_a_build_makes_the_affected_tasks_and_what_they_need(branch):
    """Without a cache what they need runs too; when nothing is affected nothing runs, and that is no failure."""
    branch.remove(".nbdag", "data", "page.txt")
    none = branch.build("--affected=main", env={"CI": "", "GITHUB_ACTIONS": ""})
    none.ran().said("0 of 6 tasks are affected since main (")
    branch.edit("work.py", "//", "-")
    some = branch.build("--affected=main", env={"CI": "", "GITHUB_ACTIONS": ""})
    some.ran("ingest", *COUNTED).said("3 of 6 tasks are affected since main (")


def clone(project: Project, to: Path, *options: str) -> Project:
    subprocess.run(["git", "clone", "-q", *options, f"file://{project.root}", str(to)], check=True)
    return Project(to)


def with_event(project: Project, path: Path, **pull: object) -> dict[str, str]:
    path.write_text(json.dumps({"pull_request": pull}))
    return {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(path), "GITHUB_EVENT_NAME": "pull_request"}


def test_the_base_is_that_of_the_pull_request_or_the_upstream(branch, tmp_path):
    """By default; in a clone the base is a branch of origin."""
    branch.write("texts/c.md", "C\n").commit()
    there = clone(branch, tmp_path / "clone")
    assert affected(there, "--affected") == []
    there.write("texts/d.md", "D\n").git("checkout", "-q", "-b", "another")
    assert "page" in affected(there, "--affected")
    job = with_event(there, tmp_path / "event.json", base={"ref": "main"})
    assert affected(there, "--affected", **job) == affected(there, "--affected=origin/main")
    assert affected(there, "--affected=main") == affected(there, "--affected=origin/main")


def test_a_shallow_clone_is_told_how_to_become_whole(branch, tmp_path):
    """Where the base is missing, and where its history ends before the branch does."""
    branch.write("texts/c.md", "C\n").commit()
    there = clone(branch, tmp_path / "clone", "--depth=1", "--branch=feature")
    job = with_event(there, tmp_path / "event.json", base={"ref": "main"})
    said = refused(there, "--affected", **job)
    assert said.startswith("error: --affected: git knows no commit origin/main or main\n")
    assert "fetch-depth: 0" in said
    there.git("fetch", "-q", "--depth=1", "origin", "main:refs/remotes/origin/main")
    branch.git("checkout", "-q", "main")
    said = refused(there, "--affected", **job)
    assert said.startswith("error: --affected: origin/main and this checkout have no known common commit\n")
    assert "git fetch --unshallow" in said


@pytest.mark.parametrize(
    ("arguments", "environ", "what"),
    [
        (["--affected=nothing"], {}, "--affected: git knows no commit nothing or origin/nothing"),
        (["--affected=-q"], {}, "--affected: git knows no commit -q or origin/-q"),
        (["--affected"], {}, "--affected: git knows no commit origin/HEAD"),
        (
            ["--affected"],
            {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push"},
            "--affected: the push of this job has no base branch to compare with",
        ),
        (
            ["--affected"],
            {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": ""},
            "--affected: the event of this job has no base branch to compare with",
        ),
        (["--affected=main"], {"PATH": "/nowhere"}, "--affected needs git, which cannot be run here"),
    ],
)
def test_a_base_that_git_does_not_know_is_an_error(branch, arguments, environ, what):
    """What is wrong, and what to do; nothing is built."""
    said = refused(branch, *arguments, **environ)
    assert said.startswith(f"error: {what}\n")
    assert "hint: " in said


def test_without_a_repository_there_is_nothing_to_compare(project):
    """A folder outside git."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'true'\n")
    said = refused(project, "--affected=main", GIT_CEILING_DIRECTORIES=str(project.root.parent))
    assert said.startswith("error: --affected needs a git repository that can be read\n")
