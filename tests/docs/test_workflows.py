"""The composite action and the workflows that users copy are valid, pinned, and trust nobody too much."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/nbdag/action.yml"
WORKFLOWS = sorted((ROOT / "examples/github-workflows").glob("*.yml"))
FILES = [ACTION, *WORKFLOWS]
PINNED = re.compile(r"uses: [\w.-]+(?:/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
LOCAL = "./.github/actions/nbdag"


def read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text())


def steps(path: Path) -> Iterator[dict[str, Any]]:
    content = read(path)
    for part in content["jobs"].values() if "jobs" in content else [content["runs"]]:
        yield from part["steps"]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_what_users_copy_is_what_github_accepts(path):
    """As its schema has it."""
    schema = "vendor.github-actions" if path == ACTION else "vendor.github-workflows"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_every_action_is_pinned_by_its_commit(path):
    """A tag can be moved to other code; a comment says which release the commit is."""
    used = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses: " in line]
    assert [line for line in used if line != f"uses: {LOCAL}" and not PINNED.fullmatch(line)] == []
    assert len(used) == sum("uses" in step for step in steps(path))


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_no_expression_is_part_of_a_script(path):
    """What a stranger wrote, as the name of a branch, reaches a shell only as a variable."""
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=names(WORKFLOWS))
def test_a_workflow_may_do_no_more_than_it_needs(path):
    """All code of the repository runs with a token that reads, and that is not left in the checkout."""
    workflow = read(path)
    triggers = workflow[True]  # YAML takes the word `on` for it
    assert "pull_request_target" not in triggers
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        used = [str(step.get("uses", "")).partition("@")[0] for step in job["steps"]]
        if "write" in job.get("permissions", {}).values():
            assert not {"actions/checkout", LOCAL}.intersection(used)
        for step in job["steps"]:
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every `nbdag` command that is run, with its options."""
    for path in FILES:
        for step in steps(path):
            for line in re.sub(r"\\\n", " ", step.get("run", "")).splitlines():
                words = shlex.split(line, comments=True)
                if "nbdag" in words:
                    words = words[words.index("nbdag") + 1 :]
                    yield words[0], [word for word in words[1:] if word.startswith("-")]


def test_every_command_in_them_exists_with_its_options():
    """Which ones are there is told too, so that none is overlooked."""
    found = {(name, option.partition("=")[0]) for name, options in commands() for option in options}
    assert found == {
        ("build", "--summarize"),
        ("build", "-C"),
        ("cache", "--keep-used"),
        ("cache", "-C"),
        ("diff", "--format"),
        ("export", "--bundle"),
        ("export", "-C"),
        ("report", "--from-github"),
        ("report", "-o"),
    }
    for name, option in found:
        command = importlib.import_module(f"nbmake_dag.commands.{name}").command
        command = command.commands["gc"] if name == "cache" else command
        assert any(option in parameter.opts for parameter in command.params), (name, option)


def test_the_readme_names_what_there_is_to_copy():
    """Each workflow by what it is for, and the folder of the action."""
    readme = (ROOT / "README.md").read_text()
    assert str(ACTION.relative_to(ROOT)) in readme
    assert str(WORKFLOWS[0].parent.relative_to(ROOT)) in readme
    assert [path.name for path in WORKFLOWS] == ["daily.yml", "pages.yml", "pull-request.yml", "push.yml"]
