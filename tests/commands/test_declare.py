"""`nbdag declare`, and what names the files until then."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbmake_dag.present.undeclared_text import undeclared_line
from nbmake_dag.record.outcome import UndeclaredFile
from tests.support.project import Project

PIPELINE = """\
# two tasks
[tasks.read]
function = "work:read"  # with two files

# the last
[tasks.count]
function = "work:count"
matrix = { n = [1, 2] }
inputs = ["common.txt"]
"""
ALSO = "; it also writes b and does not declare it in its `outputs`"
WORK = """
def read():
    open("conf.yaml").close(); open("b.txt").close(); open("seen.txt").close(); open("seen.txt", "a").close()

def count(n):
    open(f"{n}.txt").close(); open("all.txt").close()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make one task with three files and one with an instance for each of two, none of them declared."""
    project = Project(tmp_path / "project").write("pipeline.toml", PIPELINE).write("work.py", WORK)
    for name in ("conf.yaml", "b.txt", "1.txt", "2.txt", "all.txt", "common.txt", "seen.txt"):
        project.write(name, name)
    return project


def test_what_is_not_declared_is_named_until_it_is(project: Project) -> None:
    """By a build that plans, by one that does not, and by `status`; whether it changed too."""
    project.build().ran("read", "count[n=1]", "count[n=2]").said("`nbdag declare read` adds what it read")
    also = "`nbdag declare read`; it also writes seen.txt and does not declare it in its `outputs`\n"
    line = f"read reads b.txt and 1 more file and does not declare them: {also}"
    project.build("--output=auto").ran().said(line)
    project.build("--output=auto").ran().said(line)
    project.write("conf.yaml", "another")
    line = "read read conf.yaml, which changed since, and 1 more file and does not declare them"
    project.build("--output=auto").ran().said(line)
    project.build("--output=auto").ran().said(line)
    done = project.nbdag("status", "-v")
    assert line in done.stderr
    assert "    read   conf.yaml (changed since)\n" in done.stderr
    assert f"\nwarning: {line}" in project.nbdag("explain", "read").stdout

    done = project.nbdag("declare")
    assert done.stdout == 'read: "b.txt", "conf.yaml"\ncount: "all.txt"\n'
    assert "seen.txt" not in project.read("pipeline.toml")
    assert "note: count: 1.txt is not added: not every instance reads it" in done.stderr
    assert project.read("pipeline.toml") == PIPELINE.replace(
        "two files\n", 'two files\ninputs = ["b.txt", "conf.yaml"]\n'
    ).replace('["common.txt"]', '["common.txt", "all.txt"]')

    declared = project.read("pipeline.toml")
    done = project.nbdag("declare", "read")
    assert done.stderr == 'read: "b.txt", "conf.yaml" are already declared; the next build runs it\n'
    assert project.read("pipeline.toml") == declared
    done = project.nbdag("status", "read")
    assert "read writes seen.txt and does not declare it in its `outputs`\n" in done.stderr
    assert "b.txt" not in done.stderr
    project.build("read").ran("read")
    assert "conf.yaml" not in project.build("--output=auto", "read").ran().err


def test_a_pipeline_that_would_be_refused_is_left_as_it_was(project: Project) -> None:
    """As where two tasks read what the other makes; `-n` shows it without a change."""
    project.write("pipeline.toml", '[tasks.a]\nfunction = "work:a"\noutputs = ["a.txt"]\n')
    project.write("work.py", "def a():\n    open('b.txt').close(); open('a.txt', 'w').close()\n")
    project.build().ran("a")
    circle = '[tasks.b]\ncommand = "cp a.txt b.txt"\ninputs = ["a.txt"]\noutputs = ["b.txt"]\n'
    project.write("pipeline.toml", project.read("pipeline.toml") + circle)
    before = project.read("pipeline.toml")
    done = project.nbdag("declare", "a")
    assert done.returncode == 2
    assert "could not be built with the new lines; nothing was changed" in done.stderr
    assert project.read("pipeline.toml") == before


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("a", "read", False)], "t reads a and does not declare it: `nbdag declare t`"),
        ([("a", "read", True)], "t read a, which changed since, and does not declare it: `nbdag declare t`"),
        (
            [("b", "write", False), ("a", "read", False)],
            "t reads a and does not declare it: `nbdag declare t`" + ALSO,
        ),
        ([("a", "write", False)], "t writes a and does not declare it in its `outputs`"),
    ],
)
def test_one_line_names_what_matters_most(files: list[tuple[str, str, bool]], expected: str) -> None:
    """First what changed, then what was read; a control character never reaches the terminal."""
    found = [UndeclaredFile(path=path, mode=mode, changed=changed) for path, mode, changed in files]  # type: ignore[arg-type]
    assert undeclared_line("t", found) == expected


def test_inputs_that_a_profile_sets_are_left_to_a_person(project: Project) -> None:
    """What is added elsewhere would not count with the profile; without it all is as ever."""
    profile = '\n[profiles.ci.tasks.count]\ninputs = ["2.txt"]\n'
    project.write("pipeline.toml", PIPELINE + profile).build("--profile", "ci")
    done = project.nbdag("declare", "--profile", "ci", "count")
    assert done.returncode == 2
    assert "pipeline.toml:12: profile `ci` sets the `inputs` of task `count`" in done.stderr
    assert 'add "all.txt" there' in done.stderr
    assert project.read("pipeline.toml") == PIPELINE + profile
