"""`nbmake_dag.load` and the `%nbdag` magic."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.project import Project, await_true


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


def test_a_failure_of_the_magic_fails_its_cell(two: Project) -> None:
    """Nothing below it is executed, in Jupyter as by papermill: a failed build, and a mistake in the command."""
    for line, code in (("build bad", 1), ("build nope", 2)):
        cells = [new_code_cell("%load_ext nbmake_dag"), new_code_cell(f"%nbdag {line}"), new_code_cell("print(1)")]
        client = NotebookClient(new_notebook(cells=cells), resources={"metadata": {"path": str(two.root)}})
        with pytest.raises(CellExecutionError, match=f"UsageError: `nbdag {line}` ended with exit code {code}"):
            client.execute()


def test_an_interrupt_of_a_build_raises(project: Project) -> None:
    """Loops end with it, and so does 'Run All'; no process of the build is left."""
    project.pipeline("""
        [tasks.slow]
        command = "touch began; sleep 100"
    """)
    script = """if True:
        import nbmake_dag as nbdag
        try:
            nbdag.load().build()
        except KeyboardInterrupt:
            print("interrupted")
    """
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        await_true((project / "began").exists, 60, "it did not begin")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "interrupted\n"


def test_a_build_may_run_in_a_thread(two: Project) -> None:
    """As web servers and widgets run it."""
    script = """if True:
        import threading
        import nbmake_dag as nbdag
        done = []
        thread = threading.Thread(target=lambda: done.append(nbdag.load().build("good").ok))
        thread.start(); thread.join()
        print(done)
    """
    assert python(two, "-c", script) == "[True]\n"


@pytest.mark.parametrize(
    "code",
    ["import nbmake_dag as nbdag; nbdag.load().build()", "%load_ext nbmake_dag\n%nbdag build other"],
    ids=["python", "magic"],
)
def test_a_task_that_builds_its_own_pipeline_is_refused_at_once(project: Project, code: str) -> None:
    """It would wait for the build that waits for it."""
    project.pipeline("""
        [tasks.nested]
        notebook = "nested.py"

        [tasks.other]
        command = "true"
    """).notebook("nested.py", code.replace("\n", "\n\n# %%\n"))
    build = project.build("--output=group")
    assert build.code == 1
    assert "nested is a task of this pipeline, and cannot build it" in build.err
