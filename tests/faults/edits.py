"""Random pipelines, edited and built by the command line, against clean builds: no wrong skip, run or file.

Some have families whose instances tasks make, tasks that a shell script starts, and a profile.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.faults.campaign import Row, Trials
from tests.support.project import Project

_STEPS = 20
"""Edits of one pipeline."""
_FILES = ("in/x.txt", "in/y.txt", "in/z.txt")
_NAMES = "in/names.txt"
_CODE = ("tool.py", "helper.py", "run.sh")
_OUTPUTS = ("out",)
_PROFILE = ("--profile", "other")


class Edited:
    """A project of a few commands over a few files, whose every part may be edited."""

    def __init__(self, root: Path, chance: Random) -> None:
        self.project = Project(root)
        self._chance = chance
        self._tasks = {name: self._task(name) for name in "abcd"[: chance.randrange(2, 5)]}
        self._family = self._new_family()
        self.options: tuple[str, ...] = ()
        (root / "out").mkdir(parents=True)
        for path in _FILES[:2]:
            self.project.write(path, path)
        self.project.write(_NAMES, "oslo rome")
        self.project.write("tool.py", _TOOL)
        self.project.write("helper.py", "WORD = 1\n")
        self.project.write("run.sh", _RUN)
        self.write()

    def _task(self, name: str) -> dict[str, str]:
        """Return the parts of a task: it reads files, and what earlier tasks wrote."""
        chance = self._chance
        before = [f"out/{other}.txt" for other in "abcd" if other < name]
        inputs = chance.sample([*before, "in/*.txt", *_FILES[:2]], k=1)
        inputs += [path for path in before if chance.random() < 0.5 and path not in inputs]
        return {
            "inputs": " ".join(inputs),
            "text": chance.choice(("p", "q", "{word}")),
            "folder": chance.choice(("", "yes")),
            "start": chance.choice((f"{sys.executable} tool.py", "sh run.sh")),
        }

    def _new_family(self) -> dict[str, str]:
        """Return how instances are known and read: not at all, by files or rows, and in which way."""
        chance = self._chance
        return {
            "from": chance.choice(("none", "files", "rows")),
            "read": chance.choice(("glob", "gather", "after", "again")),
            "text": chance.choice(("p", "{word}")),
        }

    def write(self) -> None:
        known = {f"out/{name}.txt" for name in self._tasks}
        lines = ["[parameters]", 'word = "w"', "[profiles.other.parameters]", 'word = "v"', "[tasks.word]"]
        lines += [f'command = "{sys.executable} tool.py word {{word}}"', 'outputs = ["out/word.txt"]']
        for name, task in self._tasks.items():
            inputs = [path for path in task["inputs"].split() if not path.startswith("out/") or path in known]
            outputs = [f"out/{name}.txt"] + ([f"out/{name}/"] if task["folder"] else [])
            lines += [
                f"[tasks.{name}]",
                f'command = "{task["start"]} {name} {task["text"]} {" ".join(inputs)}"',
                f"inputs = {json.dumps(inputs)}",
                f"outputs = {json.dumps(outputs)}",
            ]
        self.project.pipeline("\n".join((*lines, *self._family_lines())) + "\n")

    def _family_lines(self) -> Iterator[str]:
        """Yield `split`, whose results say what instances of `each` there are, and what reads from them."""
        by, tool = self._family["from"], f"{sys.executable} tool.py"
        if by == "none":
            return
        part = "out/parts/{n}.txt"
        yield from ("[tasks.split]", f'inputs = ["{_NAMES}"]')
        if by == "files":
            yield from (f'command = "{tool} split {_NAMES}"', 'outputs = ["out/parts/"]')
            yield from ("[tasks.each]", f'instances = {{ files = "{part}" }}', f'inputs = ["{part}"]')
            yield f'command = "{tool} each/{{n}} {self._family["text"]} {part}"'
        else:
            yield from (f'command = "{tool} rows {_NAMES}"', 'outputs = ["out/rows.csv"]')
            yield from ("[tasks.each]", 'instances = { rows = "out/rows.csv" }')
            yield f'command = "{tool} each/{{n}} {self._family["text"]} in/x.txt"'
            yield 'inputs = ["in/x.txt"]'
        yield from ('outputs = ["out/each/{n}.txt"]', "[tasks.sum]", 'outputs = ["out/sum.txt"]')
        match self._family["read"]:
            case "glob":
                yield from ('inputs = ["out/each/*.txt"]', f'command = "{tool} sum s out/each/*.txt"')
            case "gather":
                yield from ('inputs = { all = { task = "each" } }', f'command = "{tool} sum s out/each/*.txt"')
            case "after":
                yield from ('after = ["each"]', f'command = "{tool} sum s"')
            case _:
                yield from ('inputs = ["out/twice/*"]', f'command = "{tool} sum s out/twice/*.txt"')
                yield "[tasks.twice]"
                yield from ('instances = { files = "out/each/{n}.txt" }', 'inputs = ["out/each/{n}.txt"]')
                yield from (
                    f'command = "{tool} twice/{{n}} t out/each/{{n}}.txt"',
                    'outputs = ["out/twice/{n}.txt"]',
                )

    def edit(self) -> str:
        """Make one random edit; return what it was."""
        name, number = self._chance.choice(sorted(self._tasks)), self._chance.random()
        if number < 0.3:
            return self._edit_pipeline(name)
        return self._edit_family() if number < 0.55 else self._edit_files(name)

    def _edit_pipeline(self, name: str) -> str:
        match self._chance.randrange(4):
            case 0:
                self._tasks[name] = self._task(name)
                self._write_what_is_needed()
            case 1:
                self._tasks[name]["text"] = self._chance.choice("pqr")
            case 2:
                self.options = () if self.options else _PROFILE
                return f"profile: {self.options}"
            case _:
                if len(self._tasks) > 2:
                    del self._tasks[name]
        self.write()
        return f"{name} edited or removed: {self._tasks.get(name)}"

    def _edit_family(self) -> str:
        chance, project = self._chance, self.project
        if chance.random() < 0.7:
            names = chance.sample(("oslo", "rome", "bonn", "a-b"), k=chance.randrange(5))
            project.write(_NAMES, " ".join(names))
            return f"instances: {names}"
        self._family = self._new_family()
        self.write()
        return f"family: {self._family}"

    def _edit_files(self, name: str) -> str:
        chance, project = self._chance, self.project
        output, path = f"out/{name}.txt", chance.choice(_FILES)
        match chance.randrange(6):
            case 0:
                project.write(path, chance.choice(("1", "2", "33")))
                return f"{path} written"
            case 1:
                (project / path).unlink(missing_ok=True)
                self._write_what_is_needed()
                return f"{path} removed"
            case 2:
                made = sorted((project / "out").rglob("*.txt"))
                if made:
                    chance.choice(made).unlink()
                return "an output removed"
            case 3:
                project.write(output, "by hand")
                return f"{output} edited"
            case _:
                return self._edit_code(chance.choice(_CODE))

    def _write_what_is_needed(self) -> None:
        read = {each for task in self._tasks.values() for each in task["inputs"].split()}
        for needed in (read & {*_FILES}) | {_FILES[0]}:
            if not (self.project / needed).exists():
                self.project.write(needed, "needed")

    def _edit_code(self, path: str) -> str:
        chance, project = self._chance, self.project
        if chance.random() < 0.2:
            os.utime(project / path)
            return f"{path} touched"
        match path:
            case "helper.py":
                text = f"WORD = {chance.randrange(3)}\n"
            case "run.sh":
                text = f"# {chance.randrange(3)}\nEXTRA={chance.choice('xy')}\n{_RUN}"
            case _:
                text = f"# {chance.randrange(3)}\n{chance.choice(('', _IMPORT))}{_TOOL}"
        project.write(path, text)
        return f"{path} edited: {text[:40]}"


_IMPORT = "from helper import WORD\n"
_RUN = f'export EXTRA\nexec {sys.executable} tool.py "$@"\n'
_TOOL = """
import os, sys
name, text, *paths = sys.argv[1:]
if name in ("split", "rows"):
    names = open(text).read().split()
    if name == "rows":
        open("out/rows.csv", "w").write("\\n".join(["n", *names, ""]))
    else:
        os.makedirs("out/parts")
        for each in names:
            open(f"out/parts/{each}.txt", "w").write(each)
    sys.exit()
found = []
for path in paths:
    folder, _, last = path.rpartition("/")
    names = sorted(os.listdir(folder)) if last == "*.txt" and os.path.isdir(folder) else [last]
    names = [each for each in names if each[0] != "*" and each.endswith(".txt")]
    found += [f"{folder}/{each}={open(f'{folder}/{each}').read()}" for each in names]
text += str(globals().get("WORD", "")) + os.environ.get("EXTRA", "")
os.makedirs(os.path.dirname(f"out/{name}"), exist_ok=True)
with open(f"out/{name}.txt", "w") as file:
    file.write(text + "(" + ",".join(found) + ")")
if f'"out/{name}/"' in open("pipeline.toml").read():
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
            build = project.build(*edited.options)
            about = f"{story}\n{build.err}\n{(project / 'pipeline.toml').read_text()}"
            assert build.code == 0, about
            clean = Project(place / "clean")
            for path in ("pipeline.toml", *_CODE):
                shutil.copy2(project / path, clean / path)
            shutil.copytree(project / "in", clean / "in")
            (clean / "out").mkdir()
            first = clean.build(*edited.options)
            assert first.code == 0, first.err
            assert _made(project) == _made(clean), about
            again = project.build(*edited.options)
            assert (again.having("ran"), again.having("restored")) == ([], []), f"{about}\n{again.err}"
            if chance.random() < 0.3:
                shutil.rmtree(project / ".nbdag/state")
                looked = project.build(*edited.options)
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
