"""`nbdag status --json`: what an editor needs, in a shape that its schema describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from nbmake_dag.commands.schema import document_schema
from tests.support.project import Project


def _status(project: Project) -> dict[str, dict[str, Any]]:
    """Return the tasks by name, once the whole was held against the schema."""
    document = json.loads(project.nbdag("status", "--json").stdout)
    jsonschema.validate(document, document_schema("status"))
    assert document["format"] == 1
    return {task["name"]: task for task in document["tasks"]}


def test_each_task_has_what_it_is_and_why_it_is_stale_as_a_code(tmp_path: Path) -> None:
    """Instances with their parameters, a failure with its cell, an undeclared file, and every status."""
    project = Project(tmp_path / "project").pipeline(
        """
        [tasks.make]
        command = "echo one > one.txt"
        outputs = ["one.txt"]

        [tasks.use]
        function = "work:use"
        matrix = { n = [1, 2] }
        inputs = ["one.txt"]
        tags = ["quick"]

        [tasks.bad]
        notebook = "bad.py"
        """
    )
    project.write("work.py", "def use(n):\n    open('more.txt').close()\n").write("more.txt", "m")
    project.notebook("bad.py", "1", "raise KeyError('price')")
    before = _status(project)
    assert {name: (task["status"], task["codes"]) for name, task in before.items()} == {
        "make": ("stale", ["new"]),
        "use[n=1]": ("stale", ["new"]),
        "use[n=2]": ("stale", ["new"]),
        "bad": ("stale", ["new"]),
    }
    project.build("-k").ended(1, failed=["bad"], ran=["make", "use[n=1]", "use[n=2]"])
    project.write("one.txt", "edited\n").edit("pipeline.toml", "[1, 2]", "[1, 2, 3]")
    after = _status(project)
    assert (after["make"]["status"], after["make"]["codes"]) == ("restored", ["output_changed"])
    use = after["use[n=2]"]
    assert (use["family"], use["type"], use["source"]) == ("use", "function", "work:use")
    assert (use["parameters"], use["upstream"], use["tags"], use["status"]) == (
        {"n": 2},
        ["make"],
        ["quick"],
        "up_to_date",
    )
    assert use["undeclared"] == [{"path": "more.txt", "mode": "read", "changed": False}]
    assert use["last_run"]["run_id"] == after["make"]["last_run"]["run_id"]
    assert after["bad"]["source"] == "bad.py"
    assert (after["bad"]["last_failure"]["cell"], after["bad"]["last_run"]) == ({"index": 1}, None)
    project.edit("pipeline.toml", "echo one", "echo two")
    changed = _status(project)
    assert (changed["make"]["codes"], changed["use[n=1]"]["codes"]) == (["command"], ["upstream"])
