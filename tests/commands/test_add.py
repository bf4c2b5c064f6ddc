"""`nbdag add`: one more task, and the rest of the file as it was."""

from __future__ import annotations

from pathlib import Path

from tests.support.project import Project

BEFORE = """\
# by hand
[tasks.load]
notebook = "load.py"  # first
outputs = ["data.csv"]"""


def test_a_task_is_appended_with_what_is_known_of_its_notebook(tmp_path: Path) -> None:
    """What it reads of another task is declared; a second one with the same name of its file gets a number."""
    project = Project(tmp_path / "project").write("pipeline.toml", BEFORE)
    project.notebook("load.py", "open('data.csv', 'w').write('1')")
    project.notebook("plot.py", "open('data.csv').read()")
    project.notebook("more/plot.py", "print(1)")
    done = project.nbdag("add", "--dry-run", "plot.py")
    assert (done.returncode, project.read("pipeline.toml")) == (0, BEFORE)
    task = '[tasks.plot]\nnotebook = "plot.py"\ninputs = ["data.csv"]\n'
    assert done.stdout == task
    assert project.nbdag("add", "./plot.py").stdout == task
    assert project.read("pipeline.toml") == f"{BEFORE}\n\n{task}"
    assert "task plot-2" in project.nbdag("add", "more/plot.py").stderr
    project.build("-q").ran("load", "plot", "plot-2")

    for arguments, message in {
        ("plot.py",): "plot.py is the notebook of a task already\n  where  pipeline.toml:7",
        ("plott.py",): "plott.py does not exist\n\nhint: did you mean `plot.py`?",
        ("pipeline.toml",): "pipeline.toml is not a notebook",
    }.items():
        done = project.nbdag("add", *arguments)
        assert done.returncode == 2
        assert message in done.stderr


def test_a_guess_that_contradicts_the_pipeline_is_a_comment(tmp_path: Path) -> None:
    """As an output that another task makes."""
    project = Project(tmp_path / "project").write(
        "pipeline.toml", '[tasks.other]\ncommand = "echo 1 > out.csv"\noutputs = ["out.csv"]\n'
    )
    project.notebook("make.py", "open('out.csv', 'w').write('1')")
    project.notebook("use.py", "open('out.csv').read()")
    done = project.nbdag("add", "make.py")
    assert (done.returncode, done.stderr.startswith("added task make")) == (0, True)
    assert '# outputs = ["out.csv"]\n' in project.read("pipeline.toml")
    assert project.nbdag("status").returncode == 0


def test_a_quiet_build_prints_what_failed_and_nothing_else(tmp_path: Path) -> None:
    """No task that ended well, no warning and no numbers."""
    project = Project(tmp_path / "project").pipeline('[tasks.a]\ncommand = "true"\n')
    assert project.nbdag("build", "-q").stderr == ""
    assert project.nbdag("build", "-q").stderr == ""
    project.edit("pipeline.toml", '"true"', '"exit 7"')
    assert "7" in project.nbdag("build", "-q").stderr
    assert project.nbdag("build", "-q", "-v").returncode == 2
