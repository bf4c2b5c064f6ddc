"""`kill -9` of a build at any moment: the next one ends well and repeats no more than was in flight."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from nbmake_dag_reporting.runs import RunNotFoundError, find_run, read_run
from nbmake_dag_reporting.summary import summarize
from tests.project import Project, await_true, kill

EXAMPLES = Path(__file__).parents[2] / "examples"
KERNELS = ("zygote", "ipykernel", "-f ")


def ended_well(project: Project) -> set[str]:
    """Return what the last run had finished, as its record says."""
    try:
        run = read_run(find_run(str(project / ".nbdag/runs"), "latest"))
    except RunNotFoundError:
        return set()
    return {task["name"] for task in summarize(run)["tasks"] if task["status"] == "ran"}


def kernels(project: Project) -> list[str]:
    return [command for command in project.processes().values() if any(word in command for word in KERNELS)]


def kill_and_build_again(project: Project, clean: dict[str, bytes], after_s: float, *arguments: str) -> None:
    """Start a build from nothing, kill it, and hold the promises about what follows."""
    outputs = sorted({path.split("/")[0] for path in clean})
    project.remove(*(path for path in [".nbdag", *outputs] if (project / path).exists()))
    build = project.start("build", *arguments)
    time.sleep(after_s)
    kill(build)
    await_true(lambda: not kernels(project), 5, f"kernels 5 s after a kill at {after_s} s")
    await_true(lambda: not project.processes(), 15, f"{project.processes()} 15 s after a kill at {after_s} s")
    finished = ended_well(project)
    second = project.build(*arguments)
    assert second.code == 0, second.err
    assert not finished & set(second.having("ran")), f"repeated after a kill at {after_s} s"
    assert project.contents(outputs) == clean, f"other outputs after a kill at {after_s} s"
    project.build().ran().restored()


def test_a_killed_build_is_finished_by_the_next(tmp_path):
    """Three random moments of the quickstart."""
    project = Project.copied(EXAMPLES / "quickstart", tmp_path / "quickstart")
    begun = time.monotonic()
    project.build("--cache=off")
    length = time.monotonic() - begun
    clean = project.contents(["data", "charts", "report.html"])
    chance = random.Random()
    for third in range(3):
        kill_and_build_again(project, clean, (third + chance.random()) * length / 3)


@pytest.mark.slow
@pytest.mark.ray
def test_a_killed_build_of_the_mnist_example_is_finished_by_the_next(tmp_path):
    """Twenty random moments, every other time with Ray."""
    project = Project.copied(EXAMPLES / "mnist-digits", tmp_path / "mnist")
    begun = time.monotonic()
    assert project.build().code == 0
    length = time.monotonic() - begun
    clean = project.contents(["data", "models", "results"])
    chance = random.Random()
    for twentieth in range(20):
        executor = "ray" if twentieth % 2 else "auto"
        kill_and_build_again(project, clean, (twentieth + chance.random()) * length / 20, f"--executor={executor}")


def test_processes_that_cells_started_end_with_a_killed_build(project):
    """Whatever they did to get away: a session of their own, another parent, an empty environment."""
    project.pipeline('[tasks.spawn]\nnotebook = "spawn.py"\n')
    project.notebook(
        "spawn.py",
        "import os, pathlib, subprocess, time",
        """
        code = "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(3600)"
        mark = str(pathlib.Path("../begun").resolve())
        subprocess.run(["python3", "-c", code, mark], env={"PATH": os.environ["PATH"]}, start_new_session=True)
        """,
        "pathlib.Path('../begun').touch()",
        "time.sleep(3600)",
    )
    begun = project.root.parent / "begun"

    def strays() -> list[str]:
        commands = [entry / "cmdline" for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [text for text in map(read_or_nothing, commands) if f"sleep(3600)\0{begun}\0" in text]

    build = project.start("build")
    await_true(begun.exists, 60, "the notebook did not begin")
    await_true(lambda: len(strays()) == 1, 10, "the process of the cell did not begin")
    kill(build)
    await_true(lambda: not strays(), 15, "a process of a cell is left")


def read_or_nothing(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # ended meanwhile
