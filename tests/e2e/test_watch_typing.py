"""`nbdag watch` beside somebody who types, and an editor that saves meanwhile."""

from __future__ import annotations

import time

import pytest

from tests.support.project import Project, await_true
from tests.support.watching import Watching

pytestmark = pytest.mark.timing


def source(text: str) -> str:
    return f'# %%\nfile = open("out/note.txt", "w")\nfile.write("{text}")\nfile.close()\n'


@pytest.mark.slow
def test_builds_begin_when_typing_has_stopped(project: Project) -> None:
    """An editor that saves while somebody types interrupts a build or two, not one for each save.

    Of those nothing is counted up, and what is typed last is built.
    """
    project.pipeline("""
        [kernel]
        snapshots = 0

        [tasks.note]
        notebook = "notebooks/note.py"
        outputs = ["out/note.txt"]
    """)
    slow = f"{source('text')}import time; time.sleep(1)\n"
    project.write("notebooks/note.py", slow)
    with Watching(project) as watching:
        for number in range(25):
            project.save("notebooks/note.py", slow.replace("text", str(number)))
            time.sleep(0.3)
        watching.awaits("out/note.txt", "24")
        await_true(watching.rests, 30, "the build goes on")
        assert watching.runs() <= 5, watching.text()
        assert "1 cancelled" not in watching.text()
        assert "files change during each build" not in watching.text()
        assert watching.end() == 143


def test_a_cell_that_is_being_typed_is_waited_for(project: Project) -> None:
    """A notebook that does not parse is not started, nor is what is below it; others are built."""
    project.pipeline("""
        [tasks.note]
        notebook = "notebooks/note.py"
        outputs = ["out/note.txt"]

        [tasks.below]
        command = "cp out/note.txt out/below.txt"
        inputs = ["out/note.txt"]
        outputs = ["out/below.txt"]

        [tasks.mark]
        command = "cp mark.txt out/mark.txt"
        inputs = ["mark.txt"]
        outputs = ["out/mark.txt"]
    """)
    project.write("notebooks/note.py", source("first")).write("mark.txt", "1")
    with Watching(project) as watching:
        for half in ("x = (", "x = (1,", "def f(:"):
            project.save("notebooks/note.py", f"{source('second')}\n# %%\n{half}\n")
            watching.said("note waits, it cannot run yet: notebooks/note.py, cell 2, line 1: ")
        project.save("mark.txt", "2")
        watching.awaits("out/mark.txt", "2")
        await_true(watching.rests, 30, "the build goes on")
        assert watching.text().count("note waits") == 1
        assert watching.text().count("note  ran in") == 1
        project.save("notebooks/note.py", f"{source('second')}\n# %%\n%time x = (1,)\n")
        watching.awaits("out/below.txt", "second")
        assert watching.end() == 143


def test_a_notebook_in_a_format_that_is_named_is_built(project: Project) -> None:
    """Its prose would be a string that Python refuses, if the format was guessed."""
    project.pipeline("""
        [tasks.note]
        notebook = "notebooks/note.py"
        format = "py:sphinx"
        outputs = ["out/note.txt"]
    """)
    text = '"""\nIn C:\\users\n"""\nopen("out/note.txt", "w").write("TEXT")\n'
    project.write("notebooks/note.py", text.replace("TEXT", "first"))
    with Watching(project) as watching:
        watching.awaits("out/note.txt", "first")
        project.save("notebooks/note.py", text.replace("TEXT", "second"))
        watching.awaits("out/note.txt", "second")
        assert "cannot run yet" not in watching.text()
        assert watching.end() == 143
