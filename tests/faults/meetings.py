"""A build with another command, or without its `.nbdag`; eight builds that share a cache."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from random import Random

from tests.faults.campaign import Row, Trials
from tests.faults.victims import commands_victim, without_a_past
from tests.support.project import DEADLINE_S, NBDAG, Project

_WITH: dict[str, list[tuple[str, ...]]] = {
    "build": [("build",)],
    "clean": [("clean",)],
    "clean the cache": [("clean", "--cache", "-y")],
    "gc": [("cache", "gc")],
    "status": [("status",)] * 4,
    "watch": [("watch",)],
    "removed": [],
    "shared": [],
}


def at_once(folder: Path) -> Trials:
    """Begin a build, and something else a moment later."""
    victim = commands_victim(folder / "victim")

    def run(number: int, chance: Random, place: Path) -> None:
        name = list(_WITH)[number % len(_WITH)]
        if name == "shared":
            _eight(place)
            return
        project = victim.copy(place)
        if chance.random() < 0.5:
            without_a_past(victim, project)
        commands = [begun(project, "build")]
        time.sleep(chance.random() * 1.5)
        commands += [begun(project, *arguments) for arguments in _WITH[name]]
        if name == "removed":
            shutil.rmtree(project / ".nbdag", ignore_errors=True)
        if name == "watch":
            commands[0].wait(DEADLINE_S)
            time.sleep(chance.random())
            commands[1].send_signal(signal.SIGINT)
        for command in commands:
            said = command.communicate(timeout=DEADLINE_S)[1]
            allowed = {0, 3} if name == "removed" else {0, 130} if name == "watch" else {0}
            assert command.returncode in allowed, f"{name}: {command.args!r}: {command.returncode}\n{said}"
            assert "defect" not in said, said
        victim.is_whole(project)
        project.leaves_nobody()
        build = project.build()
        assert (build.code, project.contents(victim.outputs)) == (0, victim.new), build.err
        assert project.build().having("ran") == []

    return Trials(count=100, run=run)


def _eight(place: Path) -> None:
    """Build one pipeline in eight checkouts that share a cache."""
    clones: list[Project] = []
    for number in range(8):
        clone: Project = Project(place / str(number))
        clone.pipeline("""
            [cache]
            remote = "../shared"
            remote_mode = "read-write"

            [tasks.a]
            command = "cat in.txt in.txt > a.txt; sleep 0.3"
            inputs = ["in.txt"]
            outputs = ["a.txt"]
        """)
        clones.append(clone.write("in.txt", "x"))
    commands = [begun(clone, "build") for clone in clones]
    for command, clone in zip(commands, clones, strict=True):
        said = command.communicate(timeout=DEADLINE_S)[1]
        assert (command.returncode, clone.read("a.txt")) == (0, "xx"), said
        assert clone.build().having("ran") == []


def begun(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*NBDAG, *arguments],
        cwd=project.root,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


ROWS = (
    Row(
        name="at-once",
        what="a build with another command; eight that share a cache",
        prepare=at_once,
    ),
)
