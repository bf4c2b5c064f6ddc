"""Trials: tasks executed in a private copy with whatever their order says, of which nothing else is left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbmake_dag.core.model import ProjectPath, TaskName
from nbmake_dag.observe.project import find_project
from nbmake_dag.referee.order import Bytes, Commit, Order, Tried, metrics_of
from nbmake_dag.referee.trial import Trials
from nbmake_dag.runs.find import recorded_in
from nbmake_dag_cache.key import Key
from nbmake_dag_cache.record import Record
from nbmake_dag_cache.records import RecordStore
from tests.support.project import Project

DOUBLE, COUNT = TaskName("double"), TaskName("count")
PIPELINE = """
    [tasks.double]
    notebook = "double.py"
    inputs = ["in.txt"]
    outputs = ["doubled.txt"]

    [tasks.count]
    function = "counting:count"
    inputs = ["doubled.txt"]
    outputs = ["count.txt"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a project of two tasks that were built, and are under version control."""
    project = Project(tmp_path / "project").pipeline(PIPELINE).write("in.txt", "ab")
    project.notebook(
        "double.py", "# parameters\ntimes = 2", "open('doubled.txt', 'w').write(open('in.txt').read() * times)"
    )
    project.write(
        "counting.py",
        """
        import nbmake_dag as nbdag

        def count():
            size = len(open("doubled.txt").read())
            nbdag.log_metric("size", size)
            open("count.txt", "w").write(str(size))
        """,
    )
    project.write(".gitignore", "/.nbdag/\n/doubled.txt\n/count.txt\n").commit()
    project.build().ran("double", "count")
    return project


def state_of(project: Project) -> dict[str, object]:
    """Return all that a trial must leave as it is: the workspace, caches, runs and git."""
    git = subprocess.run(["git", "status", "--porcelain=v2"], cwd=project.root, capture_output=True, check=True)
    paths = [name for name in os.listdir(project.root) if name not in {".nbdag", ".git"}]
    return {
        "files": project.contents([*paths, ".nbdag/cache", ".nbdag/runs", ".nbdag/state/last.json"]),
        "git": project.contents([".git/HEAD", ".git/refs", ".git/index", ".git/worktrees"]),
        "status": git.stdout,
    }


def records_of(project: Project) -> dict[TaskName, Record]:
    place = find_project(str(project.root))
    records, tasks = RecordStore(place.cache), recorded_in(place, "latest").run.tasks
    refs = {TaskName(name): task.record for name, task in tasks.items()}
    found = {name: records.get(Key(ref.own_key), Key(ref.key)) for name, ref in refs.items() if ref}
    return {name: record for name, record in found.items() if record is not None}


def statuses(tried: Tried) -> dict[str, str]:
    return {name: task.status for name, task in tried.tasks.items()}


def size_in(tried: Tried) -> float:
    record = tried.tasks[COUNT].record
    assert record is not None
    return metrics_of(record)["size"]


@pytest.mark.slow
def test_an_order_says_what_tasks_are_made_of(project: Project) -> None:
    """Files and parameters take the place of what is there; workspace, cache, runs and git stay as they are.

    What was tried is kept by its key, and no build takes it.
    """
    trials, before = Trials(find_project(str(project.root))), state_of(project)
    both = Order(kind="blame", tasks=(DOUBLE, COUNT))
    first = trials.run(both)
    assert (statuses(first), size_in(first)) == ({"double": "ran", "count": "ran"}, 4)

    more = Order(kind="blame", tasks=(DOUBLE, COUNT), parameters={DOUBLE: {"times": 5}})
    tried = trials.run(more)
    assert (statuses(tried), size_in(tried), tried.executed) == ({"double": "ran", "count": "ran"}, 10, 2)
    assert trials.run(more).executed == 0

    edited = Bytes((project / "counting.py").read_bytes().replace(b"len(", b"-len("))
    tried = trials.run(Order(kind="blame", tasks=(DOUBLE, COUNT), files={ProjectPath("counting.py"): edited}))
    assert (size_in(tried), tried.executed) == (-4, 1)
    assert state_of(project) == before
    assert recorded_in(trials.project, tried.run_id).run.kind == "blame"
    project.edit("double.py", "times = 2", "times = 5").build().ran("double", "count")


def test_tasks_that_are_given_are_not_executed(project: Project) -> None:
    """What they made is there, unless the order has other bytes."""
    given, trials = records_of(project), Trials(find_project(str(project.root)))
    (project / "doubled.txt").write_text("of the workspace")
    alone = Order(kind="replay", tasks=(COUNT,), given=given, alone=True, reuse=False)
    tried = trials.run(alone)
    assert (statuses(tried), size_in(tried)) == ({"count": "ran"}, 4)
    other = {ProjectPath("doubled.txt"): Bytes(b"other")}
    tried = trials.run(Order(kind="blame", tasks=(COUNT,), given=given, alone=True, files=other))
    assert (statuses(tried), size_in(tried)) == ({"count": "ran"}, 5)


def test_an_answer_that_is_cut_off_is_none(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may be full, or the child killed, while it writes: the trial ended without an answer."""
    child = tmp_path / "child"
    child.write_text("""#!/bin/sh\nprintf '{"run_id":"20' > "$3/answer.json"\necho no space left\n""")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    tried = Trials(find_project(str(project.root))).run(Order(kind="replay", tasks=(COUNT,)))
    assert (tried.problem, tried.tasks) == ("a trial ended without an answer: no space left", {})


def test_a_task_that_is_not_what_it_must_be_is_not_executed(project: Project) -> None:
    """The order says of what it must consist; those below it run on what is given."""
    given = records_of(project)
    order = Order(
        kind="replay",
        tasks=(DOUBLE, COUNT),
        given=given,
        alone=True,
        reuse=False,
        same={name: record.ingredients for name, record in given.items()},
    )
    project.edit("double.py", "* times", "* times + '!'")
    tried = Trials(find_project(str(project.root))).run(order)
    assert statuses(tried) == {"double": "other", "count": "ran"}
    assert tried.tasks[DOUBLE].other == ("code: double.py, cell 2",)


@pytest.mark.slow
def test_a_commit_is_tried_as_it_was(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are in the copy, whatever is in the workspace; what the cache has need not be executed.

    So it is where the cache is on another disk, whose files cannot be linked.
    """

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    trials = Trials(find_project(str(project.root)))
    project.edit("double.py", "times = 2", "times = 3").commit()
    before = state_of(project)
    then = Order(kind="bisect", tasks=(COUNT,), base=Commit("HEAD~1"), sandboxed=False, lend=True)
    tried = trials.run(then)
    assert (size_in(tried), tried.executed) == (4, 0)
    now = Order(kind="bisect", tasks=(COUNT,), base=Commit("HEAD"), sandboxed=False, lend=True)
    tried = trials.run(now)
    assert (size_in(tried), tried.executed) == (6, 2)
    assert state_of(project) == before


@pytest.mark.slow
def test_what_goes_wrong_in_a_trial_is_in_its_answer(project: Project) -> None:
    """A task that fails, one that does not exist, and one that takes too long."""
    trials = Trials(find_project(str(project.root)))
    broken = {ProjectPath("counting.py"): Bytes(b"def count():\n    return 1 / 0\n")}
    tried = trials.run(Order(kind="blame", tasks=(COUNT,), files=broken))
    assert tried.tasks[COUNT].failure == "ZeroDivisionError: division by zero"
    assert (
        "no task, tag or output is called `other`"
        in trials.run(Order(kind="blame", tasks=(TaskName("other"),))).problem
    )
    endless = {ProjectPath("double.py"): Bytes(b"import time\ntime.sleep(1000)")}
    tried = trials.run(Order(kind="blame", tasks=(DOUBLE,), files=endless, timeout=1))
    assert tried.problem == "it took longer than 1 s"
    assert os.listdir(os.path.join(trials.project.trials, "copies")) == []


@pytest.mark.slow
def test_a_trial_sees_no_variable_that_its_order_does_not_name(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that needs one depends on what its pipeline does not declare."""
    monkeypatch.setenv("FACTOR", "3")
    project.edit("counting.py", "size = ", "import os; size = int(os.environ.get('FACTOR', 1)) * ")
    trials = Trials(find_project(str(project.root)))
    order = Order(kind="replay", tasks=(COUNT,), reuse=False)
    assert size_in(trials.run(order)) == 4
    named = Order(kind="replay", tasks=(COUNT,), reuse=False, passed=frozenset({"FACTOR"}))
    assert size_in(trials.run(named)) == 12
