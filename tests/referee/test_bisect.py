"""`nbdag bisect` in real repositories."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.referee.test_trial import state_of
from tests.support.project import Project

_PIPELINE = """
    [tasks.prepare]
    command = "tr a-z A-Z < in.txt > upper.txt"
    inputs = ["in.txt"]
    outputs = ["upper.txt"]

    [tasks.train]
    function = "work:train"
    inputs = ["upper.txt"]
    outputs = ["model.txt"]

    [tasks.sane]
    command = "grep -q good model.txt"
    inputs = ["model.txt"]
    check = true
"""
_WORK = """
    import nbmake_dag as nbdag

    C = {C}
    NOTE = "{note}"

    def train():
        nbdag.log_metric("accuracy", 0.957 if C == 1.0 else 0.912)
        open("model.txt", "w").write("good" if C == 1.0 else "poor")
        {last}
    """


def _work(project: Project, number: int, *, c: float = 1.0, last: str = "") -> None:
    project.write("work.py", _WORK.format(C=c, note=f"commit {number}", last=last))


def _commit(project: Project, subject: str) -> str:
    project.git("add", "-A")
    project.git("commit", "-q", "--allow-empty", "-m", subject)
    return project.git("rev-parse", "HEAD").strip()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a repository whose only input git ignores."""
    project = Project(tmp_path / "project").pipeline(_PIPELINE).write("in.txt", "data")
    project.write(".gitignore", "/.nbdag/\n/in.txt\n/upper.txt\n/model.txt\n")
    project.git("init", "-q")
    return project


def _document(project: Project, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = project.nbdag("bisect", *arguments, "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_what_no_run_has_seen_is_executed(project: Project) -> None:
    """A merge, a broken commit and a renamed task included; what git ignores is taken from the workspace.

    The workspace, the cache, runs and git stay as they are, and a second search executes nothing that succeeded.
    """
    _work(project, 0)
    good = _commit(project, "begin")
    project.build().ran("prepare", "train", "sane")
    for number in range(1, 4):
        _work(project, number)
        _commit(project, f"change {number}")
    project.git("checkout", "-q", "-b", "side", "HEAD~2")
    project.write("other.txt", "other")
    _commit(project, "on the side")
    project.git("checkout", "-q", "main")
    project.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    _work(project, 5, last="raise ValueError(1)")
    _commit(project, "broken")
    project.edit("pipeline.toml", "tasks.train", "tasks.fit")
    _work(project, 6)
    _commit(project, "rename")
    _work(project, 7, c=0.01)
    culprit = _commit(project, "a smaller C")
    for number in range(8, 12):
        _work(project, number, c=0.01)
        _commit(project, f"change {number}")
    assert project.build("-k").code == 1
    before = state_of(project)

    found = _document(project, "accuracy")
    assert found["first"] == [culprit]
    assert (found["good"]["commit"], found["good"]["answer"]) == (good, 0.957)
    assert (found["before"]["answer"], found["after"]["answer"]) == (0.957, 0.912)
    assert found["executed"] <= math.log2(found["candidates"]) + 2
    assert state_of(project) == before

    # what was tried is kept; only the broken commit leaves nothing to take
    assert _document(project, "accuracy")["executed"] <= 1
    said = project.nbdag("bisect", "accuracy", "-j", "3")
    assert "accuracy: 0.957 → 0.912 by commit " + culprit[:10] in said.stdout
    assert "a smaller C (A, " in said.stdout
    assert "-0.045" in said.stdout

    # the same commit made the check fail
    assert _document(project, "sane", "--good", good)["first"] == [culprit]
    assert state_of(project) == before


def test_nothing_is_executed_where_runs_say_all(asked: Project) -> None:
    """Each commit was built; what was built with uncommitted changes says nothing of its commit."""
    before = state_of(asked)
    found = _document(asked, "train:accuracy")
    assert (found["executed"], found["trials"]) == (0, 0)
    assert found["first"] == [asked.git("rev-parse", "main").strip()]
    assert [each["is_trial"] for each in found["commits"]] == [False] * 3
    assert state_of(asked) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acuracy"], "did you mean `accuracy`?"),
        (["accuracy", "--good", "nowhere"], "git knows no commit nowhere"),
        (["accuracy", "--good", "HEAD", "--bad", "HEAD~1"], "swap --good and --bad"),
        (
            ["accuracy", "--good", "HEAD~2", "--bad", "HEAD~1"],
            "`accuracy` does not differ between the two commits",
        ),
        (["accuracy", "--bad", "HEAD~1"], "name a good commit: --good REF"),
        (["accuracy", "--bad", "refs/remotes/they/main"], "add --trust"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: Project, arguments: list[str], said: str) -> None:
    """With what to do instead; nothing is executed."""
    done = asked.nbdag("bisect", *arguments)
    assert said in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


def test_a_run_whose_code_no_branch_reaches_is_not_blamed(asked: Project) -> None:
    """Unless it is trusted, nothing of it runs."""
    done = asked.nbdag("blame", "accuracy")
    assert "no local branch reaches the code of run" in done.stderr
    assert "--trust" in done.stderr
    assert (done.returncode, done.stdout) == (2, "")
    assert asked.nbdag("blame", "accuracy", "--dry-run").stdout.startswith("accuracy 0.957 → 0.912: ")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make a repository of three commits that were built, and two on no branch, of which one was built."""
    project = Project(tmp_path_factory.mktemp("asked") / "project").pipeline(_PIPELINE).write("in.txt", "data")
    project.write(".gitignore", "/.nbdag/\n/upper.txt\n/model.txt\n")
    project.git("init", "-q")
    for number, c in enumerate((1.0, 1.0, 0.01)):
        _work(project, number, c=c)
        _commit(project, f"change {number}")
        project.build("train")
    _work(project, 3, c=5.0)
    project.build("train")
    project.git("checkout", "-q", "--detach")
    _commit(project, "theirs")
    project.build("train")
    _work(project, 4, c=5.0)
    project.git("update-ref", "refs/remotes/they/main", _commit(project, "theirs, later"))
    project.git("checkout", "-q", "main")
    return project
