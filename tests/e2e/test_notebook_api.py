"""`nbmake_dag.load` and the `%nbdag` magic."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.project import Project


@pytest.fixture
def two(project: Project) -> Project:
    return project.pipeline("""
        [tasks.good]
        command = "echo 1 > good.txt"
        outputs = ["good.txt"]

        [tasks.bad]
        notebook = "bad.py"
        inputs = ["good.txt"]
        outputs = ["bad.txt"]
    """).notebook("bad.py", "1 / 0  # <&>")


def python(project: Project, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_build_in_python_returns_what_happened(two: Project) -> None:
    """The result says what became of each task, as text and as a table with a link to the failed notebook."""
    script = """if True:
        import nbmake_dag as nbdag
        pipeline = nbdag.load("pipeline.toml")
        print(pipeline.build("good").ok)
        built = pipeline.build()
        print(built.ok, built.tasks)
        print(repr(built).splitlines()[0])
        print(built._repr_html_())
    """
    out = python(two, "-c", script)
    assert out.splitlines()[:3] == ["True", "False {'good': 'up_to_date', 'bad': 'failed'}", "good  up_to_date"]
    assert '<a href=".nbdag/failed/' in out
    assert "1 failed" in out


def test_the_magic_takes_what_the_command_takes(two: Project) -> None:
    """After ``%load_ext nbmake_dag``, ``%nbdag status`` says what ``nbdag status`` says."""
    magic = python(two, "-m", "IPython", "--no-banner", "-c", "%load_ext nbmake_dag\n%nbdag status")
    assert magic == two.nbdag("status").stdout
