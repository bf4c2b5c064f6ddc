"""Projects that faults befall, and the promises about what follows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.test_kill import ended_well
from tests.support.project import Project

COMMANDS = """
    [tasks.a]
    command = "cat in.txt > a.txt"
    inputs = ["in.txt"]
    outputs = ["a.txt"]

    [tasks.b]
    command = "mkdir b; cat a.txt a.txt > b/1.txt; cp a.txt b/2.txt"
    inputs = ["a.txt"]
    outputs = ["b/"]

    [tasks.c]
    command = "cat b/1.txt b/2.txt > c.txt"
    inputs = ["b/"]
    outputs = ["c.txt"]
"""
MIXED = """
    [tasks.note]
    notebook = "note.py"
    inputs = ["in.txt"]
    outputs = ["note.txt"]

    [tasks.step]
    function = "steps:step"
    inputs = ["note.txt"]
    outputs = ["step.txt"]

    [tasks.last]
    command = "cat note.txt step.txt > last.txt; sleep 0.2"
    inputs = ["note.txt", "step.txt"]
    outputs = ["last.txt"]
"""


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A project that was built before its input changed: ``old`` and ``new`` are what clean builds leave."""

    root: Path
    outputs: tuple[str, ...]
    old: dict[str, bytes]
    new: dict[str, bytes]

    def copy(self, folder: Path) -> Project:
        return Project.copied(self.root, folder / "project")

    def holds(self, project: Project, *arguments: str, clean: dict[str, bytes] | None = None) -> None:
        """Claim that the next build ends well and repeats nothing, and that the one after has nothing to do.

        ``clean`` are the outputs of a clean build, the new ones if not given. No other file is beside them.
        """
        project.leaves_nobody()
        finished = ended_well(project)
        second = project.build(*arguments)
        assert second.code == 0, second.err
        assert "defect" not in second.err, second.err
        assert not finished & set(second.having("ran")), f"repeated: {finished}\n{second.err}"
        assert project.contents(self.outputs) == (self.new if clean is None else clean), second.err
        known = {path.name for path in self.root.iterdir()} | {path.split("/")[0] for path in self.new}
        assert {path.name for path in project.root.iterdir()} <= known
        third = project.build(*arguments)
        assert (third.code, third.having("ran"), third.having("restored")) == (0, [], []), third.err
        project.leaves_nobody()

    def is_whole(self, project: Project) -> None:
        """Claim that each output is the old one, the new one or absent, once nbdag has said something."""
        for path, content in project.contents(self.outputs).items():
            assert content in {self.old.get(path), self.new.get(path)}, path


def commands_victim(folder: Path) -> Victim:
    """Make one of three commands, one of them with a folder as output."""
    return _victim(folder, COMMANDS, ("a.txt", "b", "c.txt"))


def mixed_victim(folder: Path) -> Victim:
    """Make one of a notebook, a function and a command."""
    project = Project(folder)
    project.notebook(
        "note.py",
        "text = open('in.txt').read()",
        "import time; time.sleep(0.2)",
        "open('note.txt', 'w').write(text)",
    )
    project.write("steps.py", "def step():\n    open('step.txt', 'w').write(open('note.txt').read() * 2)\n")
    return _victim(folder, MIXED, ("note.txt", "step.txt", "last.txt"))


def _victim(folder: Path, pipeline: str, outputs: tuple[str, ...]) -> Victim:
    project = Project(folder).pipeline(pipeline)
    contents: list[dict[str, bytes]] = []
    for text in ("new", "old"):
        build = project.write("in.txt", text).build()
        assert build.code == 0, build.err
        contents.append(project.contents(outputs))
    shutil.rmtree(project / ".nbdag")
    build = project.build()
    assert build.code == 0, build.err
    shutil.rmtree(project / ".nbdag/runs")  # so that the latest run is one that a fault befell
    project.write("in.txt", "new")
    return Victim(root=folder, outputs=outputs, old=contents[1], new=contents[0])


def without_a_past(victim: Victim, project: Project) -> None:
    """Make it a project that was never built."""
    names: Sequence[str] = [".nbdag", *victim.outputs]
    project.remove(*names)
