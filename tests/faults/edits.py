"""Random pipelines, edited and built by the command line, against clean builds: no wrong skip, run or file."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from random import Random

from tests.faults.campaign import Row, Trials
from tests.faults.warm import WarmProject
from tests.support.project import Project

_STEPS = 20
"""Edits of one pipeline."""
_FILES = ("in/x.txt", "in/y.txt", "in/z.txt")
_OUTPUTS = ("out",)


class Edited:
    """A project of a few commands over a few files, whose every part may be edited."""

    def __init__(self, root: Path, chance: Random) -> None:
        self.project = WarmProject(root)
        self._chance = chance
        self._tasks = {name: self._task(name) for name in "abcd"[: chance.randrange(2, 5)]}
        (root / "out").mkdir(parents=True)
        for path in _FILES[:2]:
            self.project.write(path, path)
        self.project.write("tool.py", _TOOL)
        self.write()

    def _task(self, name: str) -> dict[str, str]:
        """Return the parts of a task: it reads files, and what earlier tasks wrote."""
        chance = self._chance
        before = [f"out/{other}.txt" for other in "abcd" if other < name]
        inputs = chance.sample([*before, "in/*.txt", *_FILES[:2]], k=1)
        inputs += [path for path in before if chance.random() < 0.5 and path not in inputs]
        return {"inputs": " ".join(inputs), "text": chance.choice("pq"), "folder": chance.choice(("", "yes"))}

    def write(self) -> None:
        known = {f"out/{name}.txt" for name in self._tasks}
        lines: list[str] = []
        for name, task in self._tasks.items():
            inputs = [path for path in task["inputs"].split() if not path.startswith("out/") or path in known]
            outputs = [f"out/{name}.txt"] + ([f"out/{name}/"] if task["folder"] else [])
            lines += [
                f"[tasks.{name}]",
                f'command = "{sys.executable} tool.py {name} {task["text"]} {" ".join(inputs)}"',
                f"inputs = {inputs}",
                f"outputs = {outputs}",
            ]
        self.project.pipeline("\n".join(lines).replace("'", '"') + "\n")

    def edit(self) -> str:
        """Make one random edit; return what it was."""
        name = self._chance.choice(sorted(self._tasks))
        return self._edit_pipeline(name) if self._chance.random() < 0.4 else self._edit_files(name)

    def _edit_pipeline(self, name: str) -> str:
        match self._chance.randrange(3):
            case 0:
                self._tasks[name] = self._task(name)
            case 1:
                self._tasks[name]["text"] = self._chance.choice("pqr")
            case _:
                if len(self._tasks) > 2:
                    del self._tasks[name]
        self.write()
        return f"{name} edited or removed: {self._tasks.get(name)}"

    def _edit_files(self, name: str) -> str:
        chance, project = self._chance, self.project
        output, path = f"out/{name}.txt", chance.choice(_FILES)
        match chance.randrange(6):
            case 0:
                project.write(path, chance.choice(("1", "2", "33")))
                return f"{path} written"
            case 1:
                (project / path).unlink(missing_ok=True)
                read = {each for task in self._tasks.values() for each in task["inputs"].split()}
                for needed in (read & {*_FILES}) or {_FILES[0]}:
                    if not (project / needed).exists():
                        project.write(needed, "needed")
                return f"{path} removed"
            case 2:
                (project / output).unlink(missing_ok=True)
                return f"{output} removed"
            case 3:
                project.write(output, "by hand")
                return f"{output} edited"
            case 4:
                os.utime(project / "tool.py")
                return "tool.py touched"
            case _:
                project.write("tool.py", f"# {chance.randrange(3)}\n{_TOOL}")
                return "tool.py edited"


_TOOL = """
import os, sys
name, text, *paths = sys.argv[1:]
found = []
for path in paths:
    folder, _, last = path.rpartition("/")
    names = sorted(os.listdir(folder)) if last == "*.txt" else [last]
    found += [f"{folder}/{each}={open(f'{folder}/{each}').read()}" for each in names if each.endswith(".txt")]
with open(f"out/{name}.txt", "w") as file:
    file.write(text + "(" + ",".join(found) + ")")
if f"out/{name}/" in open("pipeline.toml").read():
    os.makedirs(f"out/{name}", exist_ok=True)
    open(f"out/{name}/1", "w").write(text)
"""


def against_clean_builds(folder: Path) -> Trials:
    """Edit a pipeline 20 times, and build after each edit."""
    del folder

    def run(number: int, chance: Random, place: Path) -> None:
        del number
        edited = Edited(place / "project", chance)
        project, story = edited.project, ["begun"]
        for _ in range(_STEPS):
            build = project.build()
            about = f"{story}\n{build.err}"
            assert build.code == 0, about
            clean = WarmProject(place / "clean")
            for path in ("pipeline.toml", "tool.py"):
                shutil.copy2(project / path, clean / path)
            shutil.copytree(project / "in", clean / "in")
            (clean / "out").mkdir()
            first = clean.build()
            assert first.code == 0, first.err
            assert _made(project) == _made(clean), about
            again = project.build()
            assert (again.having("ran"), again.having("restored")) == ([], []), f"{about}\n{again.err}"
            if chance.random() < 0.3:
                shutil.rmtree(project / ".nbdag/state")
                looked = project.build()
                assert (looked.having("ran"), looked.having("restored")) == ([], []), f"{about}\n{looked.err}"
            shutil.rmtree(clean.root)
            story.append(edited.edit())

    return Trials(count=2000 // _STEPS, run=run, each=_STEPS)


def _made(project: Project) -> dict[str, bytes]:
    return project.contents(_OUTPUTS)


ROWS = (
    Row(
        name="edits",
        what="edits of a random pipeline, each against a clean build, and without `.nbdag/state`",
        prepare=against_clean_builds,
    ),
)
