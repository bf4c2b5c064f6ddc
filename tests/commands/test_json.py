"""``--json`` of every command that reads: what it writes for a real project is what its schema describes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import click
import jsonschema
import pytest

from nbmake_dag.commands.cli import cli, run
from nbmake_dag.commands.schema import DOCUMENTS, document_schema
from tests.support.project import Project

Read = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build twice, with a parameter that was changed and a metric that is no number; the second run fails."""
    project = Project(tmp_path_factory.mktemp("json") / "project").pipeline(
        """
        [tasks.make]
        function = "work:make"
        parameters = { n = 1 }
        outputs = ["made.txt"]

        [tasks.use]
        command = "test $(cat made.txt) = 1"
        inputs = ["made.txt"]

        [tasks.below]
        command = "true"
        after = ["use"]
        """
    )
    project.write(
        "work.py",
        "import nbmake_dag as nbdag\n\ndef make(n, outputs):\n"
        "    nbdag.log_metric('loss', float('nan'))\n    nbdag.log_text('text', 'note.txt')\n"
        "    open('made.txt', 'w').write(str(n))\n",
    )
    project.build("--executor=inline").ran("make", "use", "below")
    project.edit("pipeline.toml", "n = 1", "n = 2")
    project.build("--executor=inline").ended(1, ran=["make"], failed=["use"], skipped=["below"])
    return project


@pytest.fixture
def read(built: Project, capsys: pytest.CaptureFixture[str]) -> Read:
    """Run a command in this process, and hold what it writes against its schema."""

    def reads(schema: str, *arguments: str, code: int = 0) -> dict[str, Any]:
        assert run(["-C", str(built.root), *arguments]) == code
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        jsonschema.validate(document, document_schema(schema))
        assert document["format"] == 1
        return document

    return reads


def test_runs_and_tasks_have_their_statuses_and_codes(read: Read) -> None:
    """A run is listed, shown with a line of each task, and each task completely; failures have their type."""
    listed = read("runs", "runs", "--json")["runs"]
    shown = read("run", "show", listed[0]["id"], "--json")
    make, use, below = shown["tasks"]
    assert [listed[0]["result"], listed[1]["result"], shown["result"]] == ["failure", "success", "failure"]
    assert (make["codes"], make["metrics"]) == (["parameter"], {"loss": "NaN"})
    assert (use["codes"], use["failure"]["type"], below["status"]) == (["input"], "exit", "skipped")
    task = read("task", "show", "latest", "make", "--json")
    assert (task["run_id"], task["codes"], task["artifacts"]["note.txt"]["size"]) == (
        shown["id"],
        ["parameter"],
        4,
    )


def test_differences_have_kinds_and_codes(read: Read) -> None:
    """Each ingredient that differs has its kind, and each task that ran its codes."""
    found = read("diff", "diff", "latest~1", "latest", "--json")
    assert found == read("diff", "diff", "latest~1", "latest", "--format=json")
    assert found["codes"] == {"make": ["parameter"], "use": ["input"]}
    assert [(it["kind"], it["name"]) for it in found["ingredients"]] == [("parameter", "parameter n")]
    assert [(it["task"], it["before"], it["after"]) for it in found["statuses"]] == [
        ("use", "ran", "failed"),
        ("below", "ran", "skipped"),
    ]


def test_an_explanation_has_codes_and_the_last_failure(read: Read) -> None:
    """A stale task says since when and why; one that is up to date names the run that made its result."""
    use = read("explain", "explain", "use", "--json")
    assert (use["status"], use["codes"], use["last_failure"]["cell"]) == ("stale", ["input"], None)
    assert [it["kind"] for it in use["ingredients"] if it["changed"]] == ["input"]
    make = read("explain", "explain", "make", "--json")
    assert (make["status"], make["record"]["task"]) == ("up_to_date", "make")


def test_a_graph_has_a_status_where_it_is_of_a_run(read: Read) -> None:
    """The nodes and edges are the same."""
    graph, of_run = read("graph", "graph", "--json"), read("graph", "graph", "--run=latest", "--json")
    assert graph["edges"] == of_run["edges"] == [{"from": "make", "to": "use"}, {"from": "use", "to": "below"}]
    assert [node["status"] for node in graph["nodes"]] == [None] * 3
    assert [node["status"] for node in of_run["nodes"]] == ["ran", "failed", "skipped"]


def test_checks_name_what_they_found(read: Read, built: Project) -> None:
    """A sound cache has no faults; a doctor's finding has the name of its check; the exit codes stay."""
    info = read("cache-info", "cache", "info", "--json")
    assert (info["records"], info["runs"]) == (4, 2)
    assert read("cache-verify", "cache", "verify", "--json")["faults"] == []
    stranger = built / ".nbdag/cache/blobs/stranger"
    stranger.write_text("x")
    faults = read("cache-verify", "cache", "verify", "--json", code=1)["faults"]
    stranger.unlink()
    assert faults == [{"path": "blobs/stranger", "fault": "strange_file", "detail": ""}]
    # a fault in the repetition, where nothing else of this machine decides
    found = read("doctor", "doctor", "use", "--json", code=1)["findings"]
    assert "fails_apart" in [finding["code"] for finding in found]


def test_what_a_build_would_do_and_did_is_described(read: Read) -> None:
    """A plan has the shape of the status; a summary counts every status, and has every task."""
    plan = read("status", "build", "--dry-run", "--force", "--json", "make")
    assert [(task["name"], task["codes"]) for task in plan["tasks"]] == [("make", ["forced"])]
    summary = read("summary", "build", "-q", "--summarize", "make")
    assert (summary["counts"]["up_to_date"], [task["name"] for task in summary["tasks"]]) == (1, ["make"])


_ACT = {"watch", "clean", "restore", "declare", "open", "report", "export"} | {
    "init",
    "add",
    "push",
    "pull",
    "gc",
    "keygen",
}
"""Commands that do something, and do not report what is."""
_TEXTS = {"schema", "completions", "help"}
"""Commands that print texts which are there for somebody."""


def _commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield name, command
        if isinstance(command, click.Group):
            yield from _commands(command)


def test_every_command_that_reads_writes_json_with_a_schema() -> None:
    """A new command has ``--json``, or is named here; the schemas that the options name exist."""
    described = {
        name: re.findall(r"`nbdag schema ([\w-]+)`", getattr(option, "help", ""))
        for name, command in _commands(cli)
        for option in command.params
        if "--json" in option.opts
    }
    assert {name for name, _ in _commands(cli)} - described.keys() == _ACT | _TEXTS
    assert all(schemas and set(schemas) <= set(DOCUMENTS) for schemas in described.values())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_member_of_a_document_is_described(name: str) -> None:
    """The reference is made from the descriptions; other types describe themselves as a whole."""
    for kind, described in document_schema(name)["$defs"].items():
        members = described.get("properties", {}).items()
        assert described.get("description") or "enum" in described, kind
        if kind.endswith("Document"):
            assert [key for key, entry in members if not entry.get("description")] == []
