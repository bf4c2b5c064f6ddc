"""One pipeline with profiles: built back and forth, nothing runs twice, and no file goes."""

from __future__ import annotations

import json

import pytest

from nbmake_dag.commands.cli import run
from tests.support.project import Project

PIPELINE = """
    [parameters]
    end = ""

    [tasks.make]
    command = "echo {depth} > made/{depth}{end}.txt"
    matrix = { depth = [1, 2] }
    outputs = { made = "made/{depth}{end}.txt" }

    [tasks.sum]
    command = "grep -o '[^\\"]*.txt' $NBDAG_INPUTS > sum.txt"
    inputs = { made = { task = "make" } }
    outputs = ["sum.txt"]

    [profiles.ci.tasks.make]
    matrix = { depth = [1, 9] }

    [profiles.far]
    parameters = { end = "-far" }
"""
MADE = ["make[depth=1]", "make[depth=2]"]
BOTH = ("--profile", "ci", "--profile", "far")


def test_going_back_and_forth_hits_and_moves_no_file(project: Project) -> None:
    """Same ingredients, same result: with the state and without it. What no profile names any more goes."""
    project.pipeline(PIPELINE).build().ran(*MADE, "sum")
    project.build("--profile", "ci").ran("make[depth=9]", "sum")
    project.build(env={"NBDAG_PROFILE": "ci"}).ran().said("3 up to date in")
    project.build(env={"NBDAG_PROFILE": "ci,far"}).ran("make[depth=1]", "make[depth=9]", "sum")
    everything = ["1-far.txt", "1.txt", "2.txt", "9-far.txt", "9.txt"]
    for profiles in (), BOTH:
        project.build(*profiles).ran().restored("sum")
        assert sorted(path.name for path in (project / "made").iterdir()) == everything
        project.build(*profiles).ran().said("3 up to date in")
        project.remove(".nbdag/state").build(*profiles).ran()
        assert sorted(path.name for path in (project / "made").iterdir()) == everything
    shown = json.loads(project.nbdag("show", "latest", "--json").stdout)
    assert shown["profiles"] == ["ci", "far"]
    project.edit("pipeline.toml", "[1, 9]", "[1]")
    project.build().said("moved away: made/9-far.txt and 1 more were left by tasks that no longer exist")


def test_a_folder_that_holds_files_of_two_profiles_is_reported(project: Project) -> None:
    """They are ingredients, as all that is there is."""
    project.pipeline(PIPELINE.replace('inputs = { made = { task = "make" } }', 'inputs = { made = "made/*" }'))
    project.build("--profile", "ci")
    warning = "input `made/*` of task `sum` holds made/9.txt, made with another profile"
    project.build().ran("make[depth=2]", "sum").said(warning)
    assert warning in project.nbdag("status").stderr
    project.edit("pipeline.toml", 'end = "-far"', 'enb = "-far"')
    unread = "pipeline.toml with profile far cannot be read (pipeline.toml:18: no task has a parameter `enb`), so"
    assert unread in project.nbdag("status").stderr


def test_an_unknown_profile_is_refused_by_every_command(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, with the one that was meant; `watch` waits for the file to change."""
    project.pipeline(PIPELINE)
    for command in "build", "explain sum", "clean", "open sum", "doctor", "config":
        assert run(["-C", str(project.root), *command.split(), "--profile", "cii"]) == 2
        assert "there is no profile `cii`\n\nhint: did you mean `ci`?" in capsys.readouterr().err, command
