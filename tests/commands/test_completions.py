"""`nbdag completions`: scripts that real shells run, and the answers that they get."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nbmake_dag.commands.cli import COMMANDS, cli
from nbmake_dag.commands.completions import NAMES, SCRIPTS
from tests.support.project import Project

PIPELINE = """
[defaults]
tags = ["nightly"]

[tasks.train]
command = "true"
matrix = { size = [400, 500], kind = ["fast"] }

[tasks.summary]
command = "true"
tags = ["daily"]

[profiles.ci.tasks.train]
matrix = { size = [1] }
[profiles.quick]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project").pipeline(PIPELINE)


def _answers(project: Project, *words: str) -> list[str]:
    done = project.nbdag("completions", "--answer", "--", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("bu",), ["build"]),
        (("build", ""), ["train", "summary"]),
        (("build", "summary", "tr"), ["train"]),
        (("build", "train[k"), ["train[kind=fast,size=400]", "train[kind=fast,size=500]"]),
        (("build", "--tag", ""), ["nightly", "daily"]),
        (("build", "--exclude", "s"), ["summary"]),
        (("build", "--executor", "r"), ["ray"]),
        (("build", "--profile", ""), ["ci", "quick"]),
        (("build", "--profile", "ci", "train["), ["train[size=1]"]),
        (("build", "--keep"), ["--keep-going"]),
        (("cache", ""), ["gc", "info", "keygen", "verify"]),
        (("--dir",), ["--directory"]),
        (("-C", "sub", "bu"), ["build"]),
        (("-C", ""), []),
    ],
)
def test_words_are_completed(project: Project, words: tuple[str, ...], expected: list[str]) -> None:
    """Commands, tasks, instances once their task is typed, tags, choices and options."""
    assert _answers(project, *words) == expected


def test_every_command_is_offered(project: Project) -> None:
    """Also those that are new."""
    assert _answers(project, "") == list(COMMANDS)


def test_names_are_those_of_the_project_that_is_meant(project: Project) -> None:
    """`-C` and `-f` count before and after the command."""
    project.write("other/pipeline.toml", '[tasks.b]\ncommand = "true"\n')
    project.write("c.toml", '[tasks.c]\ncommand = "true"\n')
    assert _answers(project, "-C", "other", "build", "") == ["b"]
    assert _answers(project, "build", "-f", "c.toml", "") == ["c"]


def test_names_are_never_stale(project: Project) -> None:
    """They are read when they are asked for."""
    _answers(project, "build", "")
    project.edit("pipeline.toml", "summary", "report")
    assert _answers(project, "build", "") == ["train", "report"]


@pytest.mark.parametrize(
    "text",
    ["[tasks.a", "tasks = 3", "[tasks]\na = 1", "[tasks.a]\nmatrix = [1]\ntags = 2", "defaults = 1", "\xff"],
)
def test_a_file_that_is_half_written_gives_no_error(project: Project, text: str) -> None:
    """Completion works while the file is being edited."""
    (project / "pipeline.toml").write_bytes(text.encode("latin-1"))
    _answers(project, "build", "a")
    _answers(project, "build", "--tag", "")


def test_without_a_project_nothing_is_offered(tmp_path: Path) -> None:
    """Silence, as a shell expects it."""
    (tmp_path / ".git").mkdir()
    assert _answers(Project(tmp_path), "build", "") == []


def test_an_answer_reads_names_and_imports_nothing_heavy(project: Project) -> None:
    """What an answer costs is Python, click and tomli."""
    code = (
        "import sys; from nbmake_dag.commands.completions import answers;"
        "print(*answers(('build', 'tr')), *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.root, capture_output=True, text=True, check=True
    )
    words = done.stdout.split()
    assert words[0] == "train"
    heavy = {"ray", "papermill", "nbclient", "nbformat", "opentelemetry", "diskcache", "rich", "jupyter_client"}
    assert heavy.isdisjoint(words)


def test_every_argument_of_a_command_can_be_completed() -> None:
    """A new command whose argument has another name is noticed; shells complete paths by themselves."""
    context = click.Context(cli)
    commands = {name: cli.get_command(context, name) for name in COMMANDS if name != "completions"}
    arguments = {
        parameter.name
        for command in commands.values()
        if command is not None
        for parameter in command.params
        if isinstance(parameter, click.Argument) and not isinstance(parameter.type, click.Choice | click.Path)
    }
    assert arguments <= NAMES.keys()


def test_another_shell_is_refused(project: Project) -> None:
    """The known ones are named."""
    done = project.nbdag("completions", "tcsh")
    assert (done.returncode, "name one shell: bash, zsh, fish" in done.stderr) == (2, True)


DRIVERS = {
    "bash": """
        source ./script
        for word in 'train[kind=fast,s' "'train[kind=fast,s" '"train[kind=fast,s'; do
            line="nbdag build $word"
            COMP_LINE=$line COMP_POINT=${#line}
            _nbdag
            printf '%s\\n' "${COMPREPLY[@]}"
        done
    """,
    "zsh": """
        compdef() { :; }
        compadd() { shift; printf '%s\\n' "$@"; }
        source ./script
        words=(nbdag build 'train[kind=fast,s') CURRENT=3
        _nbdag
    """,
    "fish": """
        source ./script
        complete -C 'nbdag build train[kind=fast,s'
    """,
}
EXPECTED = {
    "bash": ["fast,size=400]", "fast,size=500]"] + ["train[kind=fast,size=400]", "train[kind=fast,size=500]"] * 2,
    "zsh": ["train[kind=fast,size=400]", "train[kind=fast,size=500]"],
    "fish": ["train[kind=fast,size=400]", "train[kind=fast,size=500]"],
}


@pytest.mark.parametrize("shell", [name for name in SCRIPTS if shutil.which(name)])
def test_the_script_works_in_its_shell(project: Project, shell: str) -> None:
    """Also for names with brackets and `=`, at which bash breaks words, but not within quotes."""
    program = project / "bin/nbdag"
    project.write("bin/nbdag", f'#!/bin/sh\nexec {sys.executable} -m nbmake_dag "$@"\n')
    program.chmod(0o755)
    (project / "script").write_text(project.nbdag("completions", shell).stdout)
    done = subprocess.run(
        [shell, "-c", DRIVERS[shell]],
        cwd=project.root,
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(project.root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == EXPECTED[shell], done.stderr
