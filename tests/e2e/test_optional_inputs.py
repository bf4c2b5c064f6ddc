"""Inputs that may be absent: what a task gets for one, and that it runs again when one appears or goes."""

from __future__ import annotations

import json

import pytest

from tests.support.project import Project

TASKS = """
    [tasks.notebook]
    notebook = "read.py"
    inputs = { notes = { path = "notes.md", optional = true }, tables = { path = "t/*.csv", optional = true } }
    outputs = ["notebook.json"]

    [tasks.command]
    command = "cat $NBDAG_INPUTS > command.json"
    outputs = ["command.json"]
    [tasks.command.inputs]
    notes = { path = "notes.md", optional = true }
    extra = { path = "extra/", optional = true }
    part = { path = "parts/b.txt", optional = true }

    [tasks.below]
    command = "cat notebook.json > below.txt"
    inputs = { made = { path = "notebook.json", optional = true } }
    outputs = ["below.txt"]

    [tasks.other]
    command = "mkdir parts && touch parts/a.txt"
    outputs = ["parts/"]
"""


@pytest.fixture
def project(project: Project) -> Project:
    project.notebook(
        "read.py",
        "# parameters\ninputs = {}",
        "import json\nwith open('notebook.json', 'w') as file:\n    json.dump(inputs, file)",
    )
    return project.pipeline(TASKS)


def got(project: Project, task: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(project.read(f"{task}.json"))
    return found


def test_what_appears_and_goes_runs_its_tasks_and_nothing_else(project: Project) -> None:
    """They get `None`, or an empty list; going back restores; `explain` names what is absent, or was."""
    build = project.build("-j1").ran("below", "command", "notebook", "other")
    assert "matches no file" not in build.err
    assert got(project, "notebook") == {"notes": None, "tables": []}
    assert got(project, "command") == {"notes": None, "extra": None, "part": None}
    assert ["input", "notes:", "notes.md", "absent"] in explained(project, "command")
    build = (
        project.write("notes.md", "n\n").write("extra/x", "x\n").build("-j1").ran("below", "command", "notebook")
    )
    assert build.reasons("notebook") == ["input: notes.md added"]
    assert got(project, "notebook") == {"notes": "notes.md", "tables": []}
    assert got(project, "command") == {"notes": "notes.md", "extra": "extra/", "part": None}
    project.remove("notes.md", "extra")
    assert ["input:", "notes.md", "removed"] in explained(project, "command")
    project.build("-j1").ran().restored("below", "command", "notebook")
    project.write("t/1.csv", "1\n").build("-j1").ran("below", "notebook")
    assert got(project, "notebook") == {"notes": None, "tables": ["t/1.csv"]}


def explained(project: Project, task: str) -> list[list[str]]:
    lines = project.nbdag("explain", task).stdout.splitlines()
    return [line.removeprefix("*").split() for line in lines]
