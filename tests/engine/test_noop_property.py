"""A build on the no-op path and a build without `.nbdag/state` decide the same, whatever was edited."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest

from nbmake_dag.engine.build import build
from nbmake_dag.engine.noop import recall, signature
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.session import planned
from nbmake_dag.errors import NbdagError
from nbmake_dag.observe.project import find_project
from nbmake_dag_cache import stamps
from tests.support.project import Project

pytestmark = pytest.mark.fault

PIPELINE = """
    [pipeline]
    name = "edited"

    [software]
    variables = ["FLAVOUR"]

    [tasks.count]
    command = "(cat data/*.txt || true) > count.txt; python gen.py || true"
    inputs = ["data/*.txt", "whole/"]
    outputs = ["count.txt"]

    [tasks.step]
    function = "lib.steps:run"
    inputs = ["count.txt"]
    outputs = ["step.txt"]

    [tasks.folder]
    command = "mkdir -p made; cp count.txt made/tool; cp count.txt made/other"
    inputs = ["count.txt"]
    outputs = ["made/"]

    [tasks.shown]
    notebook = "shown.py"
    kernel = "linked"
    inputs = ["step.txt"]
    outputs = ["shown.txt"]

    [profiles.short]
    tasks.count.inputs = ["data/*.txt"]
"""
MORE = """
    [tasks.more]
    command = "echo more > data/more.txt"
    outputs = ["data/more.txt"]
"""
"""A task whose output is left when it goes, and is an input then if another pipeline file names it."""
REQUESTS = (Request(), Request(targets=("step",)), Request(exclude=("folder",)))
STEP = """
    import helper
    def run():
        open("step.txt", "w").write(open("count.txt").read() + helper.VALUE)
"""
SHADOWS = {"steps.py": "def run():\n    open('step.txt', 'w').write('s')\n"}
Decided = Mapping[str, str] | str
Edit = Callable[["Edited", Random], object]


class Edited:
    """A project in this process, in which a function, a kernel and a script are found by name."""

    def __init__(self, root: Path, environ: pytest.MonkeyPatch) -> None:
        self.root = root
        self.environ = environ
        self.files = Project(root / "project").pipeline(PIPELINE)
        self.files.write("data/a.txt", "a").write("whole/x", "x").write("pool/1", "1").write("pool/2", "2")
        self.files.write("src/lib/steps.py", STEP).write("src/helper.py", "VALUE = '1'\n").write(
            "lib/other.py", ""
        )
        self.files.notebook("shown.py", "open('shown.txt', 'w').write('x')")
        (self.files / "data/link.txt").symlink_to("../pool/1")
        self.relink("first")
        folder = root / "jupyter/kernels/linked"
        folder.mkdir(parents=True)
        argv = f'["{root}/python", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"]'
        (folder / "kernel.json").write_text(f'{{"argv": {argv}, "display_name": "Linked", "language": "python"}}')
        environ.setenv("JUPYTER_PATH", str(root / "jupyter"))
        self.path = sys.path
        self.put_on_path("src")
        environ.setenv("FLAVOUR", "plain")
        self.request = Request()
        self.take(None)

    def take(self, profile: str | None) -> None:
        """Look at the project with a profile from now on."""
        self.project = find_project(str(self.files.root), None, (profile,) if profile else ())

    def put_on_path(self, *names: str) -> None:
        """Begin the import path with folders of the project, for this process and those that it starts."""
        folders = [str(self.files / name) for name in names]
        self.environ.setenv("PYTHONPATH", os.pathsep.join(folders))
        self.environ.setattr(sys, "path", [*folders, *self.path])

    def relink(self, name: str) -> None:
        """Let the kernel's interpreter be another file, as an upgrade of the system does."""
        program = self.root / name
        if not program.exists():
            program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
            program.chmod(0o755)
        (self.root / "python").unlink(missing_ok=True)
        (self.root / "python").symlink_to(program)

    def decided(self) -> Decided:
        """Return what a build would do with the tasks; how many are up to date if the no-op file is believed."""
        name = signature(self.project, self.request)
        believed = recall(self.project, name, os.environ, time.time_ns(), pytest.fail)
        if believed is not None:
            return f"{believed.hits.count} up to date"
        return self.planned()

    def planned(self) -> Decided:
        try:
            verdicts = planned(self.project, self.request).verdicts
        except NbdagError as error:
            return error.what
        found = {str(name): type(verdict).__name__ for name, verdict in verdicts.items()}
        return f"{len(found)} up to date" if {*found.values()} == {"UpToDate"} else found

    def planned_without_state(self) -> Decided:
        """Look at everything anew; what was there comes back."""
        state, aside = self.files / ".nbdag/state", self.root / "state"
        state.rename(aside)
        try:
            return self.planned()
        finally:
            self.files.remove(".nbdag/state")
            aside.rename(state)

    def build(self) -> None:
        outcome = build(self.project, self.request, (), waiting=pytest.fail)
        assert outcome.result == "success"

    def tick(self) -> None:
        """Wait until the clock of the file system has moved, so that no edit has the time of a look before it."""
        path = self.root / "tick"
        path.write_text("")
        begun = path.stat().st_mtime_ns
        while path.stat().st_mtime_ns == begun:
            path.write_text("")


def written(*paths: str) -> Edit:
    """Write a file, sometimes with the size and the time that it had."""

    def edit(edited: Edited, chance: Random) -> None:
        path = edited.files / chance.choice(paths)
        before = path.stat() if path.exists() else None
        path.write_text(chance.choice(("a", "b", "cc")))
        if before and chance.random() < 0.5:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return edit


def removed(*paths: str) -> Edit:
    return lambda edited, chance: (edited.files / chance.choice(paths)).unlink(missing_ok=True)


def made_executable(*paths: str) -> Edit:
    def edit(edited: Edited, chance: Random) -> None:
        path = edited.files / chance.choice(paths)
        if path.exists():
            path.chmod(chance.choice((0o755, 0o644)))

    return edit


def touched(edited: Edited, chance: Random) -> None:
    path = edited.files / chance.choice(("pipeline.toml", "data/a.txt", "src/helper.py", "shown.py"))
    os.utime(path, (chance.randrange(2**31), chance.randrange(2**31)))


def linked(edited: Edited, chance: Random) -> None:
    path = edited.files / "data/link.txt"
    path.unlink(missing_ok=True)
    path.symlink_to(chance.choice(("../pool/1", "../pool/2", "../data", "nothing", "link.txt")))


def shadowed(edited: Edited, chance: Random) -> None:
    """Let a module or a script be found earlier than before, or no longer."""
    path = edited.files / chance.choice(("lib/steps.py", "helper.py", "gen.py", "src/lib/__init__.py"))
    if path.exists():
        path.unlink()
    else:
        path.write_text(
            {"steps.py": "def run():\n    open('step.txt', 'w').write('s')\n"}.get(path.name, "VALUE = '2'\n")
        )


def emptied(edited: Edited, chance: Random) -> None:
    path = edited.files / chance.choice(("whole/empty", "made/empty"))
    if path.exists():
        path.rmdir()
    else:
        path.mkdir(parents=True)


def passed(edited: Edited, chance: Random) -> None:
    """Let a file come and go, as the one does in which an editor keeps what was not yet saved."""
    path = edited.files / chance.choice(("data/.a.txt.swp", ".x.swp", "src/4913", "made/x", "whole/~y"))
    path.write_text("")
    path.unlink()


def saved(edited: Edited, chance: Random) -> None:
    """Replace a file by another one, as most editors do."""
    path = edited.files / chance.choice(("data/a.txt", "whole/x", "src/helper.py", "count.txt", "pipeline.toml"))
    if path.exists():
        beside = path.with_name("beside")
        beside.write_bytes(path.read_bytes() + chance.choice((b"", b"\n")))
        beside.replace(path)


def redeclared(edited: Edited, chance: Random) -> None:
    """Declare a task in the pipeline file, in another one, or nowhere."""
    where = chance.choice(("pipeline", "other", "nowhere"))
    edited.files.pipeline(PIPELINE + MORE if where == "pipeline" else PIPELINE)
    (edited.files / "other.toml").unlink(missing_ok=True)
    if where == "other":
        edited.files.write("other.toml", MORE)


def stored(kind: str, *, damaged: bool) -> Edit:
    """Remove a file of the cache, or cut it."""

    def edit(edited: Edited, chance: Random) -> None:
        found = sorted(path for path in (edited.files / f".nbdag/cache/{kind}").rglob("*") if path.is_file())
        path = chance.choice(found)
        if damaged:
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1])
        else:
            path.unlink()

    return edit


EDITS: dict[str, Edit] = {
    "a declaration": redeclared,
    "a record goes": stored("records", damaged=False),
    "a record is damaged": stored("records", damaged=True),
    "a blob goes": stored("blobs", damaged=False),
    "a profile": lambda edited, chance: edited.take(chance.choice((None, "short"))),
    "an input": written("data/a.txt", "data/b.txt", "whole/x", "whole/y"),
    "an input goes": removed("data/b.txt", "whole/y"),
    "an output": written("count.txt", "step.txt"),
    "an output goes": removed("count.txt", "step.txt", "shown.txt"),
    "a module": lambda edited, chance: edited.files.write("src/helper.py", f"VALUE = '{chance.randrange(3)}'\n"),
    "what may be executed": made_executable("data/a.txt", "made/tool", "whole/x", "count.txt"),
    "times": touched,
    "what comes and goes": passed,
    "a file in the place of another": saved,
    "a link": linked,
    "what is found by name": shadowed,
    "an empty folder": emptied,
    "a variable": lambda edited, chance: edited.environ.setenv("FLAVOUR", chance.choice(("plain", "sweet"))),
    "a path": lambda edited, chance: edited.put_on_path(*("src", "lib")[: chance.randrange(1, 3)]),
    "an interpreter": lambda edited, chance: edited.relink(chance.choice(("first", "second"))),
}


@pytest.mark.parametrize(
    "steps", [5, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])], ids=["few", "many"]
)
def test_the_no_op_path_decides_as_a_build_without_state(tmp_path, monkeypatch, steps: int):
    """After each of some random edits; a build then makes all up to date again, on the no-op path too."""
    seed = int(os.environ.get("NOOP_SEED", random.randrange(1 << 32)))
    chance = Random(seed)
    # believed at once, or never so that contents decide
    monkeypatch.setattr(stamps, "_REST_NS", chance.choice((0, 3600 * 10**9)))
    edited, story = Edited(tmp_path, monkeypatch), ["begun"]
    for _ in range(steps):
        edited.request = chance.choice(REQUESTS)
        if not isinstance(edited.decided(), str):
            edited.build()
        about = f"seed {seed}: {story}"
        for name in chance.sample(sorted(EDITS), k=chance.randrange(1, 3)):
            edited.tick()
            EDITS[name](edited, chance)
            story.append(name)
        edited.tick()
        assert edited.decided() == edited.planned_without_state(), about
