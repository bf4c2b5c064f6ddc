"""A project below whose `.nbdag` is a file of every kind that survives a process, as a killed build leaves it."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from nbmake_dag.core.model import TaskName
from nbmake_dag.engine.state.drafts import Drafts
from nbmake_dag.engine.state.remembered_secrets import remember_secrets
from nbmake_dag.observe.project import find_project
from nbmake_dag.observe.state_file import StateFile
from nbmake_dag_cache.records import RecordStore
from tests.support.project import Project, await_true, kill
from tests.support.state_table import STATE_KINDS, StateKind

OUTPUTS = ("a.txt", "b.txt", "c.txt")
_PIPELINE = """
    [cache]
    remote = "shared"
    remote_mode = "write"

    [tasks.a]
    command = "cat in.txt > a.txt; test $(cat in.txt) != bad"
    inputs = ["in.txt"]
    outputs = ["a.txt"]

    [tasks.b]
    command = "cat a.txt a.txt > b.txt"
    inputs = ["a.txt"]
    outputs = ["b.txt"]

    [tasks.c]
    command = "cat b.txt > c.txt; touch $MARKER; sleep $(cat seconds.txt)"
    inputs = ["b.txt", "seconds.txt"]
    outputs = ["c.txt"]
    sandbox = true
    env = { MARKER = "/dev/null" }
"""
_FABRICATED = (
    "state/seen-by-nodes",
    "cache/remote/x.json",
    "state/remote/x/x.csv",
    "state/trials/runs/x/events.jsonl",
    "verdicts/x.json",
    "blames/x.json",
    "history/pulled/x.json.gz",
    f"runs/.hits/{'0' * 64}",
    "open/a/a.ipynb",
    "debug/a/a.ipynb",
)
"""Made by clusters, trials, other machines, editors, remote inputs and many tasks, and read by them alone."""


def make_every_kind(project: Project) -> None:
    """Build, fail, replace a file of the user, report, and be killed; ``in.txt`` is 1 then, and c was running."""
    state = project / ".nbdag/state"
    project.pipeline(_PIPELINE).write("seconds.txt", "0")
    project.write("in.txt", "bad").build()
    for text in ("0", "1"):
        project.write("in.txt", text).write("a.txt", "the user's").build().ran("a", "b", "c")
    project.build().ran()
    assert project.nbdag("report").returncode == 0
    begun = project.root.parent / f"{project.root.name}-begun"
    project.edit("pipeline.toml", "/dev/null", str(begun)).write("seconds.txt", "1000")
    build = project.start("build")
    await_true(begun.exists, 60, "c did not begin")
    _kill_all(project, build)
    begun.unlink()
    project.edit("pipeline.toml", str(begun), "/dev/null").write("seconds.txt", "0")
    record = next(iter(RecordStore(str(project / ".nbdag/cache"))))
    StateFile(str(state / "unsent.json"), "nbdag-unsent 2", list[tuple[str, str]]).write(
        [(record.own_key, record.key)]
    )
    StateFile(str(state / "served.json"), "nbdag-served 1", dict[int, str]).write({8000: "a" * 22})
    remember_secrets(find_project(str(project.root)), {"TOKEN": "k8sT-0b7Qx93LmZ2vWpRr41"}, _refuse)
    drafts = Drafts(str(state), _refuse)
    drafts.note(TaskName("gone"), record)
    drafts.save()
    for path in _FABRICATED:
        if not (project / ".nbdag" / path).exists():
            project.write(f".nbdag/{path}", "{}")


def _kill_all(project: Project, build: subprocess.Popen[bytes]) -> None:
    """Kill all processes of a build at once, before one can clear away what it leaves."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in project.processes():
            # one that has ended meanwhile
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    kill(build)
    project.leaves_nobody()


def files_of(project: Project, kind: StateKind) -> list[str]:
    """Return the files of a kind, as paths below ``.nbdag``."""
    return [path for path in files_below(project) if kind_of(path) is kind]


def files_below(project: Project) -> list[str]:
    """Return the files below ``.nbdag``, but for the summary that tests ask for."""
    base = project / ".nbdag"
    found = (str(path.relative_to(base)) for path in base.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path for path in found if path != "summary.json")


def kind_of(path: str) -> StateKind | None:
    """Return the first row that has a path."""
    return next((kind for kind in STATE_KINDS if kind.matches(path)), None)


def other_of(project: Project, path: str) -> bytes:
    """Return the content of another file of the same kind, or of a state file where there is none."""
    kind = kind_of(path)
    others = [each for each in files_below(project) if each != path and kind_of(each) is kind]
    return Path(project / ".nbdag" / (others[-1] if others else "state/last.json")).read_bytes()


def _refuse(message: str) -> None:
    raise AssertionError(message)
