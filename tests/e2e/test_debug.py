"""`nbdag build --pdb`."""

from __future__ import annotations

import subprocess

from tests.project import NBDAG, Project


def test_a_failed_notebook_is_run_again_in_a_debugger(project: Project) -> None:
    """The debugger stands at the exception, with the task's parameters; afterwards outputs are what they were."""
    project.pipeline("""
        [tasks.note]
        notebook = "note.py"
        parameters = { size = 21 }
        outputs = ["out.txt"]
    """)
    project.notebook(
        "note.py", "# parameters\nsize = 1", "twice = size * 2", "open('out.txt', 'w').write('partial')", "1 / 0"
    )
    project.write("out.txt", "before")
    done = subprocess.run(
        [*NBDAG, "build", "--pdb", "note"],
        cwd=project.root,
        env=project.environment(),
        input="p 'it is', twice\nq\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "('it is', 42)" in done.stdout) == (1, True), done.stdout + done.stderr
    assert project.read("out.txt") == "before"
