"""`nbdag build --pdb`."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.support.project import NBDAG, Project, await_true

pytestmark = pytest.mark.timing


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


def test_an_interrupt_is_for_the_debugger(project: Project) -> None:
    """It stands where the code was interrupted; the build ends as it would have without."""
    project.pipeline('[tasks.note]\nnotebook = "note.py"\n')
    project.notebook(
        "note.py",
        """
        import os, time
        if os.path.exists("again"):
            open("sleeping", "w").close()
            time.sleep(100)
        open("again", "w").close()
        1 / 0
        """,
    )
    debugging = subprocess.Popen(
        [*NBDAG, "build", "--pdb", "note"],
        cwd=project.root,
        env=project.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    await_true((project / "sleeping").exists, 60, "it was not run again")
    os.killpg(debugging.pid, signal.SIGINT)
    said, _ = debugging.communicate("p 'it is', 6 * 7\nq\n", timeout=60)
    assert (debugging.returncode, "('it is', 42)" in said) == (1, True), said
