"""The composite action, the workflows that users copy and our own are valid, pinned, and trust nobody too much."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/nbdag/action.yml"
WORKFLOWS = sorted((ROOT / "examples/github-workflows").glob("*.yml"))
OWN = sorted((ROOT / ".github/workflows").glob("*.yml"))
FILES = [ACTION, *WORKFLOWS, *OWN]
GITLAB = ROOT / "examples/gitlab-ci/nbdag.yml"
PINNED = re.compile(r"uses: [\w.-]+(?:/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
LOCAL = "./.github/actions/nbdag"
OURS = {LOCAL, "./.github/workflows/ci.yml"}


def read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text())


def steps(path: Path) -> Iterator[dict[str, Any]]:
    content = read(path)
    for part in content["jobs"].values() if "jobs" in content else [content["runs"]]:
        yield from part.get("steps", [])


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("vendor.github-actions", [ACTION]),
        ("vendor.github-workflows", [path for path in FILES if path != ACTION]),
    ],
)
def test_actions_and_workflows_are_what_github_accepts(schema, paths):
    """As their schemas have it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_every_action_is_pinned_by_its_commit(path):
    """A tag can be moved to other code; a comment says which release the commit is."""
    used = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses: " in line]
    others = [line for line in used if line.partition(" # ")[0].removeprefix("uses: ") not in OURS]
    assert [line for line in others if not PINNED.fullmatch(line)] == []
    jobs = read(path).get("jobs", {}).values()
    assert len(used) == sum("uses" in step for step in [*steps(path), *jobs])


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_no_expression_is_part_of_a_script(path):
    """What a stranger wrote, as the name of a branch, reaches a shell only as a variable."""
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("path", [*WORKFLOWS, *OWN], ids=names([*WORKFLOWS, *OWN]))
def test_a_workflow_may_do_no_more_than_it_needs(path):
    """All code of the repository runs with a token that reads, and that is not left in the checkout."""
    workflow = read(path)
    triggers = workflow[True]  # YAML takes the word `on` for it
    assert "pull_request_target" not in triggers
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        if job.get("uses") in OURS:
            continue
        assert job["timeout-minutes"] <= 120
        used = [str(step.get("uses", "")).partition("@")[0] for step in job["steps"]]
        if "write" in job.get("permissions", {}).values():
            assert not {"actions/checkout", LOCAL}.intersection(used)
        for step in job["steps"]:
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_every_supported_python_runs_all_that_ci_runs():
    """From the oldest that may be installed; with the pins for a change, weekly with the newest releases."""
    runs = {path.name: [step["run"] for step in steps(path) if "run" in step] for path in OWN}
    assert runs["ci.yml"] == ['sudo env "PATH=$PATH" .ci/run']
    assert runs["newest.yml"] == ['sudo env "PATH=$PATH" .ci/run newest']
    pythons = read(ROOT / ".github/workflows/ci.yml")["jobs"]["everything"]["strategy"]["matrix"]["python"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={pythons[0]}"
    known = [
        text.rpartition(" ")[2] for text in project["classifiers"] if text.startswith("Programming Language ::")
    ]
    assert [version for version in known if "." in version] == pythons


def scripts() -> dict[str, list[str]]:
    """Return all that we have a shell run, by the file that it is in."""
    found = {str(path.relative_to(ROOT)): [step["run"] for step in steps(path) if "run" in step] for path in FILES}
    jobs = [job for job in read(GITLAB).values() if "script" in job]
    found[str(GITLAB.relative_to(ROOT))] = ["\n".join(job["script"]) for job in jobs]
    found |= {f".ci/{name}": [(ROOT / ".ci" / name).read_text()] for name in ("run", "wheel")}
    page = (ROOT / "nbmake_dag/docs/other-ci.md").read_text()
    found["nbmake_dag/docs/other-ci.md"] = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.parametrize("path", scripts())
def test_shellcheck_has_nothing_to_say_of_any_script(path):
    """As they are run: by bash, with the options that GitHub and GitLab give it."""
    for number, script in enumerate(scripts()[path]):
        text = script if script.startswith("#!") else f"#!/bin/bash\nset -eo pipefail\n{script}"
        command = [os.path.join(os.path.dirname(sys.executable), "shellcheck"), "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, ""), (number, done.stderr)


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
        ("cache", "--drop-secrets"),
        ("cache", "--keep-used"),
        ("cache", "-C"),
        ("diff", "--format"),
        ("diff", "--pictures"),
        ("diff", "--site"),
        ("diff", "-C"),
        ("export", "--bundle"),
        ("export", "-C"),
        ("report", "--from-github"),
        ("report", "-C"),
    }
    for name, option in found:
        command = importlib.import_module(f"nbmake_dag.commands.{name}").command
        command = command.commands["gc"] if name == "cache" else command
        assert any(option in parameter.opts for parameter in command.params), (name, option)


def test_the_documentation_names_what_there_is_to_copy():
    """Each workflow by what it is for, and the folder of the action."""
    readme = (ROOT / "nbmake_dag/docs/ci.md").read_text()
    assert str(ACTION.relative_to(ROOT)) in readme
    assert str(WORKFLOWS[0].parent.relative_to(ROOT)) in readme
    assert [path.name for path in WORKFLOWS] == ["daily.yml", "pages.yml", "pull-request.yml", "push.yml"]
