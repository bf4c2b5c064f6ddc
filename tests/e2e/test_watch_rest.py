"""`nbdag watch` comes to rest: what would be built without end is left alone, and nothing else is."""

from __future__ import annotations

import pytest

from nbmake_dag.watch.bell import Quiet
from tests.support.project import Project, await_true
from tests.support.watching import Watching

pytestmark = pytest.mark.timing


def test_a_task_that_changes_its_own_input_is_an_error_after_the_second_time(project: Project) -> None:
    """However it does so, and whether it ends before that is noticed or not."""
    project.pipeline("""
        [tasks.quick]
        notebook = "quick.py"
        inputs = ["data/quick.csv"]

        [tasks.slow]
        notebook = "slow.py"
        inputs = ["data/slow.csv"]

        [tasks.more]
        notebook = "more.py"
        inputs = ["data/*.more"]

        [tasks.copy]
        command = "cp data/copy.csv copy.out"
        inputs = ["data/copy.csv"]
        outputs = ["copy.out"]
    """)
    for name in ("quick.csv", "slow.csv", "copy.csv", "1.more"):
        project.write(f"data/{name}", "")
    project.notebook("quick.py", "open('data/quick.csv', 'a').write('1')")
    project.notebook("slow.py", "open('data/slow.csv', 'a').write('1')\nimport time; time.sleep(1.5)")
    project.notebook("more.py", "import os\nopen(f'data/{len(os.listdir(\"data\"))}.more', 'w').close()")
    with Watching(project) as watching:
        for name in ("quick", "slow", "more"):
            watching.said(f"error: {name} changes its own input data/")
        await_true(watching.rests, 30, "the build goes on")
        assert (project.read("data/quick.csv"), project.read("data/slow.csv")) == ("11", "11")
        project.save("data/copy.csv", "2")
        watching.awaits("copy.out", "2")
        project.notebook("quick.py", "open('quick.csv', 'w').write('1')")
        watching.awaits("quick.csv", "1")
        assert project.read("data/quick.csv") == "11"
        assert watching.text().count("error: quick") == 1
        assert watching.end() == 143


def test_an_input_that_a_person_edits_again_and_again_is_built_each_time(project: Project) -> None:
    """It is nobody's fault but theirs, also while the task runs."""
    project.pipeline("""
        [tasks.copy]
        notebook = "copying.py"
        inputs = ["data/a.txt"]
        outputs = ["a.out"]
    """)
    project.write("data/a.txt", "first")
    project.notebook("copying.py", "text = open('data/a.txt').read()\nopen('a.out', 'w').write(text)")
    with Watching(project) as watching:
        for number in range(6):
            project.save("data/a.txt", f"{number} before")
            project.save("data/a.txt", str(number))
            watching.awaits("a.out", str(number))
        await_true(watching.rests, 30, "the build goes on")
        assert "error" not in watching.text()
        assert watching.end() == 143


def test_what_is_away_blocks_no_other_task(project: Project) -> None:
    """Its own waits until it is back, and is then as it was."""
    project.pipeline("""
        [tasks.away]
        notebook = "nb/away.py"

        [tasks.copy]
        command = "cp data/a.txt a.out"
        inputs = ["data/a.txt"]
        outputs = ["a.out"]
    """)
    project.write("data/a.txt", "first").notebook("nb/away.py", "x = 1")
    with Watching(project) as watching:
        (project / "nb").rename(project / "aside")
        watching.said("notebook `nb/away.py` does not exist")
        project.save("data/a.txt", "second")
        watching.awaits("a.out", "second")
        (project / "aside").rename(project / "nb")
        watching.said("2 tasks: 0 ran, 0 restored, 2 up to date")
        assert watching.text().count("does not exist") == 1
        assert watching.end() == 143


def test_the_time_without_a_change_grows_with_interruptions_alone() -> None:
    """A single save is built at once; builds that were interrupted double it, up to two seconds."""
    quiet = Quiet(0.05)
    assert quiet.seconds == 0.05
    quiet.interrupted(0.01)
    assert quiet.seconds == 0.1
    quiet.interrupted(0.6)
    assert quiet.seconds == pytest.approx(0.9)
    quiet.interrupted(60)
    assert quiet.seconds == 2.0
    quiet.undisturbed()
    assert quiet.seconds == 0.05
