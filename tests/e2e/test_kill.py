"""`kill -9` of a build at any moment: the next one ends well and repeats no more than was in flight."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from nbmake_dag_reporting.runs import RunNotFoundError, find_run, read_run
from tests.support.project import Project, await_true, kill

pytestmark = pytest.mark.fault

EXAMPLES = Path(__file__).parents[2] / "examples"
KERNELS = ("zygote", "ipykernel", "-f ")


def ended_well(project: Project) -> set[str]:
    """Return what the last run had finished, as its record says."""
    try:
        run = read_run(find_run(str(project / ".nbdag/runs"), "latest"))
    except RunNotFoundError:
        return set()
    return {task.name for task in run.tasks.values() if task.status == "ran"}


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
    project.leaves_nobody()
    finished = ended_well(project)
    second = project.build(*arguments)
    assert second.code == 0, second.err
    assert not finished & set(second.having("ran")), f"repeated after a kill at {after_s} s"
    assert project.contents(outputs) == clean, f"other outputs after a kill at {after_s} s"
    project.build().ran().restored()


@dataclass(frozen=True)
class Victim:
    """An example, what a clean build of it leaves, and how long that takes."""

    project: Project
    clean: dict[str, bytes]
    length_s: float

    @classmethod
    def of(cls, example: str, root: Path, outputs: list[str]) -> Victim:
        project = Project.copied(EXAMPLES / example, root / example)
        begun = time.monotonic()
        assert project.build("--cache=off").code == 0
        return cls(project, project.contents(outputs), time.monotonic() - begun)

    def survives(self, share: float, *arguments: str) -> None:
        kill_and_build_again(self.project, self.clean, share * self.length_s, *arguments)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    return Victim.of("quickstart", tmp_path_factory.mktemp("kill"), ["data", "charts", "report.html"])


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    return Victim.of("mnist-digits", tmp_path_factory.mktemp("kill"), ["data", "models", "results"])


@pytest.mark.parametrize(
    "part", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(2, marks=pytest.mark.slow)]
)
def test_a_killed_build_is_finished_by_the_next(quickstart, part):
    """At a random moment of each third."""
    quickstart.survives((part + random.random()) / 3)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "part", [part if part in {1, 8, 15} else pytest.param(part, marks=pytest.mark.manual) for part in range(20)]
)
def test_a_killed_build_of_the_mnist_example_is_finished_by_the_next(mnist, part):
    """At a random moment of each twentieth, every other time with Ray."""
    mnist.survives((part + random.random()) / 20, f"--executor={'ray' if part % 2 else 'auto'}")


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
