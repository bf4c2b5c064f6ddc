"""``nbdag build --json-lines``: each line is an event that the schema describes, the last one the end."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nbmake_dag.commands.schema import document_schema
from tests.support.project import NBDAG, Project

SCHEMA = document_schema("events")
TOKEN = "correct horse battery"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project").pipeline(
        """
        [tasks.make]
        command = "echo one > one.txt"
        outputs = ["one.txt"]

        [tasks.use]
        command = "echo token is $TOKEN"
        inputs = ["one.txt"]
        secrets = ["TOKEN"]
        """
    )


def _events(project: Project, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    """Build, and return its events, once each was held against the schema."""
    done = project.nbdag("build", "--json-lines", *arguments, env={"TOKEN": TOKEN})
    assert done.returncode == code, done.stderr
    assert TOKEN not in done.stdout
    events = [json.loads(line) for line in done.stdout.splitlines()]
    for event in events:
        jsonschema.validate(event, SCHEMA)
    assert (events[0]["event"], events[0]["format"]) == ("stream_opened", 1)
    return events[1:]


def _told(events: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(event["event"], event.get("task")) for event in events]


def test_a_build_is_told_from_its_start_to_its_exit_code(project: Project) -> None:
    """What a person reads stays on standard error; secrets are redacted; hits are told as well, one by one."""
    events = _events(project, "-j1", "--executor=inline")
    assert _told(events) == [
        ("run_started", None),
        ("task_queued", "make"),
        ("attempt_started", "make"),
        ("attempt_ended", "make"),
        ("task_ended", "make"),
        ("task_queued", "use"),
        ("attempt_started", "use"),
        ("printed", "use"),
        ("attempt_ended", "use"),
        ("task_ended", "use"),
        ("run_ended", None),
    ]
    assert [(task["name"], task["upstream"]) for task in events[0]["tasks"]] == [("make", []), ("use", ["make"])]
    assert (events[1]["codes"], events[-2]["codes"]) == (["new"], ["new"])
    end = events[-1]
    assert (end["result"], end["exit_code"], end["counts"]["ran"], end["run_id"]) == (
        "success",
        0,
        2,
        events[0]["run_id"],
    )
    again = _events(project)
    assert _told(again) == [
        ("run_started", None),
        ("task_ended", "make"),
        ("task_ended", "use"),
        ("run_ended", None),
    ]
    assert ([event["status"] for event in again[1:3]], again[0]["tasks"][1]["upstream"]) == (
        ["up_to_date"] * 2,
        ["make"],
    )
    assert (again[-1]["counts"]["up_to_date"], again[-1]["counts"]["total"]) == (2, 2)


def test_cells_are_named_by_index_and_identifier(project: Project) -> None:
    """From the first cell to the failure, in an ``.ipynb`` by its own identifiers."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": name, "metadata": {}, "source": code, "outputs": [], "execution_count": None}
        for name, code in (("hello", "print('hello')"), ("oh-no", "raise KeyError('price')"))
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    project.pipeline('[tasks.a]\nnotebook = "a.ipynb"\n').write("a.ipynb", json.dumps(notebook))
    events = _events(project, code=1)
    assert [
        (event["event"], event.get("index", event.get("cell")), event["cell_id"])
        for event in events
        if "cell_id" in event
    ] == [
        ("cell_started", 0, "hello"),
        ("printed", 0, "hello"),
        ("cell_ended", 0, "hello"),
        ("cell_started", 1, "oh-no"),
        ("cell_ended", 1, "oh-no"),
        ("attempt_ended", 1, "oh-no"),
    ]
    assert [(event["status"], event["draft"]) for event in events if event["event"] == "task_ended"] == [
        ("failed", False)
    ]
    assert (events[-1]["result"], events[-1]["exit_code"]) == ("failure", 1)


def test_a_build_that_cannot_begin_says_why(project: Project) -> None:
    """The last line has the exit code, and each fault with its place."""
    project.edit("pipeline.toml", "inputs", "input")
    (refused,) = _events(project, code=2)
    assert (refused["event"], refused["exit_code"]) == ("refused", 2)
    assert [fault["place"] for fault in refused["faults"]] == ["pipeline.toml:7"]


@pytest.mark.parametrize("option", ["--pdb", "--summarize", "--dry-run"])
def test_what_would_mix_with_the_lines_is_refused(project: Project, option: str) -> None:
    """Standard output has nothing but events."""
    done = project.nbdag("build", "--json-lines", option)
    assert (done.returncode, done.stdout, "cannot be combined" in done.stderr) == (2, "", True)


@pytest.mark.parametrize(("reader", "code"), [("| head -n 1", 1), ("> /dev/full", 3)])
def test_a_build_does_not_depend_on_its_reader(project: Project, reader: str, code: int) -> None:
    """It builds what it can; a reader that has gone is no error, a full disk is one."""
    project.edit("pipeline.toml", "echo token is $TOKEN", "sleep 0.5; exit 1")
    line = f"{shlex.join(NBDAG)} build --json-lines --executor=inline {reader}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=project.root,
        env=project.environment({"TOKEN": TOKEN}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr, "failed" in done.stderr) == (code, False, True)
    assert ("No space left" in done.stderr) == (code == 3)
