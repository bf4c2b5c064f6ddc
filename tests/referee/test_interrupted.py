"""Replays, bisections and blames that are interrupted or fail: what they leave, and how they go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.referee.test_trial import state_of
from tests.support.project import Project, await_true

_PIPELINE = """
    [tasks.prepare]
    command = "cat in.txt in.txt > doubled.txt"
    inputs = ["in.txt"]
    outputs = ["doubled.txt"]

    [tasks.train]
    function = "work:train"
    inputs = ["doubled.txt"]
    outputs = ["model.txt"]
"""
_WORK = """
import os
import time

import nbmake_dag as nbdag

C = {c}
NOTE = "{note}"


def train():
    if os.path.exists("{place}/wait"):
        open("{place}/begun", "w").close()
        time.sleep(1000)
    if os.path.exists("{place}/fail"):
        raise ValueError("it fails")
    nbdag.log_metric("accuracy", 0.957 if C == 1.0 else 0.912)
    open("model.txt", "w").write(str(C))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Make a repository of four commits, of which the first and the last were built."""
    project = Project(tmp_path_factory.mktemp("built") / "project").pipeline(_PIPELINE).write("in.txt", "data")
    project.write(".gitignore", "/.nbdag/\n/doubled.txt\n/model.txt\n")
    for number, c in enumerate((1.0, 1.0, 0.01, 0.01)):
        text = _WORK.format(c=c, note=f"commit {number}", place=project.root.parent)
        (project / "work.py").write_text(text)
        project.commit()
        if number in {0, 3}:
            assert project.build().code == 0
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """Copy it: its tasks look beside the original whether they are to wait or to fail."""
    shutil.copytree(built.root, tmp_path / "project", symlinks=True)
    for name in ("wait", "fail", "begun"):
        (built.root.parent / name).unlink(missing_ok=True)
    return Project(tmp_path / "project")


def left(project: Project) -> dict[str, list[str]]:
    """Return what trials have that a finished command leaves empty."""
    trials = project / ".nbdag/state/trials"
    folders = [trials / name for name in ("copies", "unfinished")]
    return {folder.name: os.listdir(folder) for folder in folders if folder.is_dir() and os.listdir(folder)}


COMMANDS = {"replay": ("replay",), "bisect": ("bisect", "accuracy", "-j", "2"), "blame": ("blame", "accuracy")}


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("replay", signal.SIGINT),
        ("bisect", signal.SIGINT),
        ("blame", signal.SIGINT),
        ("replay", signal.SIGKILL),
    ],
)
def test_an_interrupted_command_leaves_all_as_it_was_and_goes_on(
    built: Project, project: Project, command: str, how: signal.Signals
) -> None:
    """Its processes end; of what a killed one leaves, nothing is left after the next command."""
    before, place = state_of(project), built.root.parent
    (place / "wait").touch()
    process = project.start(*COMMANDS[command])
    await_true((place / "begun").exists, 60, "no trial began")
    process.send_signal(how)
    assert process.wait(20) == (130 if how == signal.SIGINT else -how)
    assert how == signal.SIGKILL or "copies" not in left(project)
    assert state_of(project) == before
    assert project.git("worktree", "list").count("\n") == 1
    (place / "wait").unlink()
    done = project.nbdag(*COMMANDS[command])
    assert done.returncode == 0, done.stderr
    assert left(project) == {}
    assert state_of(project) == before
    if command == "replay":
        assert "going on where the same replay was interrupted" in done.stderr
        (found,) = (project / ".nbdag/verdicts").iterdir()
        shown = json.loads(project.nbdag("show", json.loads(found.read_text())["id"], "--json").stdout)
        assert [task["name"] for task in shown["tasks"]] == ["train"]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_whose_tasks_fail_leaves_all_as_it_was(built: Project, project: Project, command: str) -> None:
    """And says how they fail."""
    before = state_of(project)
    (built.root.parent / "fail").touch()
    done = project.nbdag(*COMMANDS[command])
    assert done.returncode in {1, 2, 3}
    assert "it fails" in done.stdout + done.stderr
    assert (left(project), state_of(project)) == ({}, before)


@pytest.mark.slow
def test_two_at_once_do_not_disturb_each_other(project: Project) -> None:
    """Each answers by itself, and neither leaves anything."""
    before = state_of(project)
    both = [project.start("replay", "--output", f"{number}.json") for number in (1, 2)]
    assert [process.wait(60) for process in both] == [0, 0]
    verdicts = [json.loads(project.read(f"{number}.json")) for number in (1, 2)]
    assert [[task["verdict"] for task in each["tasks"]] for each in verdicts] == 2 * [["identical"] * 2]
    assert len(os.listdir(project / ".nbdag/verdicts")) == 2
    project.remove("1.json", "2.json")
    assert (left(project), state_of(project)) == ({}, before)
