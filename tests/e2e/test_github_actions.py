"""A build in a job of GitHub Actions: what the runner obeys, marks, hides and shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.runner import Obeyed, obeyed

SECRET = "-----BEGIN KEY-----\nc2VjcmV0\n-----END KEY-----"
EVIL = r"::error::x\n  ::set-env name=PATH::/evil\n##[add-path]/evil\r::add-mask::a\n::stop-commands::t"


def on_actions(project: Project, *arguments: str, **more: str) -> CompletedProcess[str]:
    environ = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "", **more}
    return project.nbdag("build", *arguments, env=environ)


def commands(done: CompletedProcess[str]) -> list[Obeyed]:
    return obeyed(done.stderr + done.stdout)


def errors(done: CompletedProcess[str]) -> list[tuple[dict[str, str], str]]:
    return [(each.properties, each.text) for each in commands(done) if each.name == "error"]


@pytest.fixture
def nested(tmp_path: Path) -> Project:
    """Make a repository whose pipeline is in a folder of it."""
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    return Project(tmp_path / "repository" / "analysis")


@pytest.mark.parametrize("output", ["auto", "stream"])
def test_what_a_notebook_prints_is_no_command(project, output):
    """Nor is what it raises, or what a command prints."""
    project.pipeline("""
        [pipeline]
        name = "p"

        [tasks.shell]
        command = ["printf", "::error::x\\n##[add-path]/evil\\n"]

        [tasks.speak]
        notebook = "speak.py"
    """)
    project.notebook("speak.py", f"print('{EVIL}')", f"raise ValueError('{EVIL}')")
    done = on_actions(project, "-k", f"--output={output}")
    assert done.returncode == 1
    ours = {"group", "endgroup"} if output == "auto" else set()
    assert {each.name for each in commands(done)} == {*ours, "error"}
    ((properties, _),) = errors(done)
    assert properties["title"] == "speak failed"
    shown = r"  \::set-env name=PATH::/evil" if output == "auto" else "speak |   ::set-env name=PATH::/evil"
    assert shown in done.stderr.splitlines()
    assert r"#\#[add-path]/evil" in done.stderr


def test_each_failure_is_marked_where_it_happened(nested):
    """At the statement of a cell or a function, relative to the repository; else at the task's declaration."""
    nested.pipeline("""
        [pipeline]
        name = "p"

        [tasks.percent]
        notebook = "notebooks/percent.py"

        [tasks.json]
        notebook = "notebooks/json.ipynb"

        [tasks.function]
        function = "work:fail"

        [tasks.command]
        command = "echo no; exit 3"
    """)
    nested.notebook("notebooks/percent.py", "# markdown\nA title", "import math\n\n\nmath.sqrt(-1)")
    cell: dict[str, Any] = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": []}
    document = {
        "cells": [{**cell, "source": ["x = 1\n", "x / 0"]}],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    nested.write("notebooks/json.ipynb", json.dumps(document, indent=1))
    nested.write("work.py", "def fail():\n    raise KeyError('100%,\\na: b')\n")
    build = on_actions(nested, "-k")
    place = nested.read("notebooks/json.ipynb").splitlines().index('    "x / 0"') + 1
    assert sorted(errors(build), key=lambda error: error[0]["title"]) == [
        (
            {"title": "command failed", "file": "analysis/pipeline.toml", "line": "13"},
            "exit status 3",
        ),
        (
            {"title": "function failed", "file": "analysis/work.py", "line": "2"},
            "KeyError: '100%,\\na: b'",
        ),
        (
            {"title": "json failed", "file": "analysis/notebooks/json.ipynb", "line": str(place)},
            "ZeroDivisionError: division by zero\ncell 1, line 2",
        ),
        (
            {"title": "percent failed", "file": "analysis/notebooks/percent.py", "line": "8"},
            "ValueError: math domain error\ncell 2, line 4",
        ),
    ]


def test_each_complaint_about_the_pipeline_is_marked_at_its_line(nested):
    """Relative to the repository, with its hint; the text is there all the same."""
    nested.pipeline("""
        [tasks.first]
        notbook = "a.py"

        [tasks.second]
        command = "true"
        retries = -1
    """)
    build = on_actions(nested)
    assert build.returncode == 2
    (first, unknown), (second, negative) = errors(build)
    assert first == {"title": "The pipeline cannot be used", "file": "analysis/pipeline.toml", "line": "2"}
    assert unknown == "unknown key `notbook` in `tasks.first`\nhint: did you mean `notebook`?"
    assert second == {**first, "line": "6"}
    assert negative.startswith("`retries` must be")
    assert "pipeline.toml:2: " in build.stderr


def test_github_shows_ten_marks_so_the_last_counts_the_others(project):
    """Twelve failures are nine marks, and one for three."""
    project.pipeline("""
        [pipeline]
        name = "p"

        [tasks.fail]
        command = "exit {n}"
        matrix = { n = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] }
    """)
    found = errors(on_actions(project, "-k", "--output=none"))
    assert len(found) == 10
    assert found[-1] == ({"title": "12 tasks failed"}, "3 more tasks failed")


def test_declared_secrets_are_masked_before_anything_is_printed(project):
    """Line by line; a secret that no task declares is not ours, one that is not set is nothing."""
    project.pipeline("""
        [pipeline]
        name = "p"

        [tasks.a]
        command = "echo $KEY"
        secrets = ["KEY", "ABSENT"]
    """)
    done = on_actions(project, KEY=SECRET, OTHER="unknown")
    assert done.returncode == 0
    masks = [Obeyed("add-mask", line) for line in SECRET.split("\n")]
    assert obeyed("\n".join(done.stderr.splitlines()[: len(masks)])) == masks
    assert [each for each in commands(done) if each.name == "add-mask"] == masks


def test_elsewhere_nothing_is_a_command(project):
    """Another CI system prints what a runner would obey: secrets that it does not know how to hide."""
    project.pipeline("""
        [pipeline]
        name = "p"

        [tasks.a]
        command = "exit 1"
        secrets = ["KEY"]
    """)
    for environ in ({"CI": "true", "GITLAB_CI": "true"}, {"CI": "", "GITHUB_ACTIONS": "false"}):
        done = project.nbdag("build", env={"KEY": SECRET, **environ})
        assert done.returncode == 1
        assert commands(done) == []
        assert "BEGIN KEY" not in done.stderr


def test_the_summary_is_appended_and_never_larger_than_github_takes(project):
    """What another command of the step wrote stays; a summary that has no room left says less."""
    project.pipeline("""
        [pipeline]
        name = "p"

        [tasks.many]
        command = "echo {n}"
        matrix = { n = [1, 2, 3] }
    """)
    summary = project / "summary.md"
    summary.write_text("before\n" + "x" * ((1 << 20) - 700) + "\n")
    assert on_actions(project, GITHUB_STEP_SUMMARY=str(summary)).returncode == 0
    text = summary.read_text()
    assert text.startswith("before\n")
    assert len(text.encode()) <= 1 << 20
    assert "### p: success" in text
    assert "Graph: left out to stay within the size limit." in text


def test_a_summary_that_cannot_be_written_is_a_warning(project):
    """The build's exit code is its own."""
    project.pipeline("[pipeline]\nname = 'p'\n[tasks.a]\ncommand = 'true'\n")
    done = on_actions(project, GITHUB_STEP_SUMMARY=str(project / "none" / "summary.md"))
    assert done.returncode == 0
    assert "warning: the job summary was not written: " in done.stderr


def test_nothing_in_a_summary_is_markdown_of_others(project):
    """Names of tasks, reasons and messages are text: no link, no HTML, no table, nobody is mentioned."""
    project.pipeline("""
        [pipeline]
        name = "p"

        [tasks.a]
        function = "work:fail"
    """)
    project.write("work.py", "def fail():\n    raise ValueError('<b>|[x](y)`@ada')\n")
    summary = project / "summary.md"
    on_actions(project, GITHUB_STEP_SUMMARY=str(summary))
    row = next(line for line in summary.read_text().splitlines() if line.startswith("| a |"))
    assert re.sub(r"[\d.]+ s", "0 s", row) == (
        r"| a | ✗ failed | 0 s | ValueError: \<b\>\|\[x\](y)\`@<!-- -->ada |"
    )
