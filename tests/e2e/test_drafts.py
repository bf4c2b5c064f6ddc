"""Results that come from snapshots: shown as drafts, never hits, and confirmed by runs from the start."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from nbmake_dag.execute.notebook.snapshots import private_bytes
from tests.support.project import Project, await_true
from tests.support.watching import Watching

pytestmark = [pytest.mark.timing, pytest.mark.slow]

CELLS = (
    """
    import time
    from pathlib import Path
    Path('out').mkdir(exist_ok=True)
    runs = Path('.nbdag/runs.txt')
    with runs.open('a') as file: print('slow', file=file)
    time.sleep(0.5)
    state = ['first']
    """,
    "result = 'old'",
    "Path('out/result.txt').write_text(result)",
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "project")
    project.pipeline("""
        [kernel]
        snapshots = "500MB"

        [tasks.slow]
        notebook = "slow.py"
        outputs = ["out/result.txt"]

        [tasks.below]
        command = "cp out/result.txt out/copy.txt"
        inputs = ["out/result.txt"]
        outputs = ["out/copy.txt"]
    """)
    project.notebook("slow.py", *CELLS)
    yield project
    project.leaves_nobody()


def slow_runs(project: Project) -> int:
    return len(project.read(".nbdag/runs.txt").splitlines())


def snapshots(watching: Watching) -> list[psutil.Process]:
    """Return the processes that wait: children of the supervisor, as the zygote is, which is the oldest."""
    above = psutil.Process(watching.process.pid).children()
    kernels = [each for one in above for each in one.children() if is_kernel(each)]
    return sorted(kernels, key=lambda each: each.create_time())[1:]


def is_kernel(process: psutil.Process) -> bool:
    """Say whether this is a kernel; it may have ended just now."""
    with suppress(psutil.NoSuchProcess):
        return "--kernels" in process.cmdline()
    return False


def test_an_edit_goes_on_from_a_snapshot_and_gives_a_draft(project: Project) -> None:
    """Cells before it are not executed, dependents follow, and the next build runs it all and confirms."""
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "'new'")
        watching.awaits("out/copy.txt", "new")
        await_true(watching.rests, 30, "the build goes on")
        assert slow_runs(project) == 1
        assert "draft from cell 2  (code: slow.py, cell 2)" in watching.text()
        assert "2 tasks: 2 ran, 0 restored, 0 up to date, 2 drafts in" in watching.text()
        shown = json.loads(project.nbdag("show", "latest", "--json").stdout)
        assert [task.get("draft") for task in shown["tasks"]] == [True, True]
        events = max((project / ".nbdag/runs").glob("*/events.jsonl")).read_text()
        assert (events.count('"draft":true'), events.count('"resumed":true')) == (2, 1)
        assert watching.end() == 143
    build = project.build().ran("below", "slow")
    assert slow_runs(project) == 2
    build.said("slow: the draft is confirmed by a run from the start")
    build.said("below: the draft is confirmed by a run from the start")
    assert "was not made by nbdag" not in build.err
    project.build().ran()


def test_a_draft_that_rests_on_hidden_state_is_found_out(project: Project) -> None:
    """What a cell that no longer exists has left makes a difference, and where it shows is said."""
    project.edit("slow.py", "result = 'old'", "state.append('more'); result = str(state)\nprint(state)")
    project.edit("slow.py", "state = ['first']", "state = ['first', runs.read_text().count('slow')]")
    with Watching(project) as watching:
        project.edit("slow.py", "'more'", "'else'")
        watching.awaits("out/copy.txt", "['first', 1, 'else']")
        await_true(watching.rests, 30, "the build goes on")
        assert watching.end() == 143
    replayed = project.nbdag("replay", "slow")
    assert (replayed.returncode, "could not run: its result is a draft" in replayed.stdout) == (3, True)
    build = project.build().ran("below", "slow")
    build.said("warning: slow: a run from the start differs from the draft: what cell 2 shows, out/result.txt")
    assert project.read("out/copy.txt") == "['first', 2, 'else']"


@pytest.mark.slow
def test_drafts_are_confirmed_when_nothing_happens(project: Project) -> None:
    """Nobody has to ask; the dependents are then up to date, or confirmed themselves."""
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "'new'")
        watching.awaits("out/copy.txt", "new")
        watching.said("slow: the draft is confirmed by a run from the start")
        await_true(watching.rests, 30, "the build goes on")
        assert slow_runs(project) == 2
        assert watching.end() == 143
    project.build().ran()


def test_a_draft_that_fails_runs_from_the_start_at_once(project: Project) -> None:
    """A cell that is executed a second time may miss what the first time removed; nothing below is skipped for it.

    The next edit of that cell does not begin where it was misled.
    """
    project.edit("slow.py", "state = ['first']", "Path('scratch').touch()")
    project.edit("slow.py", "result = 'old'", "Path('scratch').unlink()\nresult = 'old'")
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "'new'")
        watching.awaits("out/copy.txt", "new")
        await_true(watching.rests, 30, "the build goes on")
        assert slow_runs(project) == 2
        assert "from cell 2: this may be due to the draft, so it runs from the start now" in watching.text()
        assert "FileNotFoundError" in watching.text()
        assert "slow: the failure of its draft was not real: a run from the start succeeded" in watching.text()
        assert "skipped" not in watching.text()
        project.edit("slow.py", "'new'", "'newer'")
        watching.awaits("out/copy.txt", "newer")
        await_true(watching.rests, 30, "the build goes on")
        assert watching.text().count("failed after") == 1
        assert watching.end() == 143
    project.build().ran()


def test_a_draft_that_fails_from_the_start_too_has_failed(project: Project) -> None:
    """It is said twice: at once, and when it is certain; correcting it goes on from the snapshot."""
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "undefined")
        watching.said("skipped: below, because slow failed")
        assert watching.text().count("NameError: name 'undefined' is not defined") == 2
        assert slow_runs(project) == 2
        assert "not real" not in watching.text()
        project.edit("slow.py", "undefined", "'defined'")
        watching.awaits("out/copy.txt", "defined")
        assert slow_runs(project) == 2
        assert watching.end() == 143


def test_a_failure_below_a_draft_is_said_to_rest_on_one(project: Project) -> None:
    """Its cause may be what the draft left."""
    project.edit("pipeline.toml", '"cp out', '"grep -q old out/result.txt && cp out')
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "'new'")
        watching.said("draft: this may be due to a draft; a run from the start tells")
        assert watching.end() == 143


@pytest.mark.slow
def test_a_failure_below_a_draft_that_was_not_real_is_said_to_be_that(
    project: Project,
) -> None:
    """Whether the task runs again then, or has a result of before."""
    project.edit("slow.py", "state = ['first']", "import os; kernel = os.getpid()")
    project.edit(
        "slow.py",
        "result = 'old'",
        "result = 'good' if os.getpid() == kernel else 'bad'\nPath('out/edited.txt').write_text(f'{result} old')",
    )
    text = project.read("pipeline.toml").replace(
        '["out/result.txt"]\n', '["out/result.txt", "out/edited.txt"]\n', 1
    )
    text = text.replace('"cp out', '"grep -q good out/result.txt && cp out')
    text += '[tasks.again]\ncommand = "grep -q good out/edited.txt"\ninputs = ["out/edited.txt"]\n'
    project.write("pipeline.toml", text)
    with Watching(project) as watching:
        project.edit("slow.py", "old", "new")
        watching.said("draft: this may be due to a draft; a run from the start tells", times=2)
        watching.said("again: the failure of its draft was not real: a run from the start succeeded")
        watching.said("below: the failure of its draft was not real: it has a result without the draft")
        await_true(watching.rests, 30, "the build goes on")
        assert watching.text().count("not real") == 2
        assert watching.end() == 143
    project.build().ran()


def test_other_builds_of_a_watch_leave_a_draft_as_it_is(project: Project) -> None:
    """It stands as a result while other tasks are built, and is shown as what it is."""
    project.write("pipeline.toml", project.read("pipeline.toml") + '[tasks.other]\ncommand = "cat other.txt"\n')
    project.write("pipeline.toml", project.read("pipeline.toml") + 'inputs = ["other.txt"]\n')
    project.write("other.txt", "1")
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "'new'")
        watching.awaits("out/copy.txt", "new")
        await_true(watching.rests, 30, "the build goes on")
        project.save("other.txt", "2")
        watching.said("other  ran in", times=2)
        watching.said("3 tasks: 1 ran, 0 restored, 2 up to date, 2 drafts in")
        assert slow_runs(project) == 1
        assert watching.end() == 143


def test_a_corrected_cell_goes_on_from_where_it_failed(project: Project) -> None:
    """A failure costs nothing of what was done before it."""
    project.edit("slow.py", "'old'", "undefined")
    with Watching(project) as watching:
        watching.said("slow  failed after")
        project.edit("slow.py", "undefined", "'defined'")
        watching.awaits("out/copy.txt", "defined")
        assert slow_runs(project) == 1
        assert watching.end() == 143


def test_what_cannot_be_resumed_is_said_once_and_runs_from_the_start(project: Project) -> None:
    """An open file is a reason; the result is an ordinary one."""
    project.edit("slow.py", "runs = ", "held = open('.nbdag/open.txt', 'w')\nruns = ")
    with Watching(project) as watching:
        for old, new in (("'old'", "'new'"), ("'new'", "'newer'")):
            project.edit("slow.py", old, new)
            watching.awaits("out/copy.txt", new.strip("'"))
        assert slow_runs(project) == 3, watching.text()
        reason = f"{project.root}/.nbdag/open.txt, open for writing"
        assert watching.text().count(f"slow cannot be resumed after cell 1: {reason}") == 1
        assert "draft" not in watching.text()
        assert watching.end() == 143


def test_no_snapshots_are_taken_with_a_budget_of_nothing(project: Project) -> None:
    """The key turns them off."""
    project.edit("pipeline.toml", '"500MB"', "0")
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "'new'")
        watching.awaits("out/copy.txt", "new")
        assert slow_runs(project) == 2
        assert watching.end() == 143


def test_a_snapshot_that_is_dropped_for_memory_is_mentioned(project: Project) -> None:
    """Else nobody would know why each edit runs from the start."""
    project.edit("pipeline.toml", '"500MB"', '"10MB"')
    project.edit("slow.py", "time.sleep(0.5)", "time.sleep(1.1)")
    with Watching(project) as watching:
        project.edit("slow.py", "'old'", "'new'")
        watching.awaits("out/copy.txt", "new")
        assert slow_runs(project) == 2
        assert watching.text().count("slow: a snapshot was dropped") == 1
        assert "`[kernel] snapshots` allows, which is 10 MB" in watching.text()
        assert watching.end() == 143


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_snapshots_end_with_their_watch(project: Project, number: int) -> None:
    """However it ends, also killed while a resumed notebook runs."""
    with Watching(project) as watching:
        assert snapshots(watching)
        project.edit("slow.py", "result = 'old'", "time.sleep(1000)")
        watching.said("waiting for changes")
        await_true(lambda: watching.runs() >= 2, 30, "no second build")
        left = psutil.Process(watching.process.pid).children(recursive=True)
        watching.end(number)
    await_true(lambda: not any(each.is_running() for each in left), 15, f"still there: {left}")


def has_at_most(watching: Watching, count: float) -> bool:
    return len(snapshots(watching)) <= count


@pytest.mark.manual
@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_500_edits_leave_neither_memory_nor_processes_nor_sockets(project: Project) -> None:
    """Fifteen minutes: the budget holds after each, and the watch has no more open than after the first ones."""
    project.edit("slow.py", "state =", "ballast = bytearray(b'1' * 20_000_000)\nstate =")
    with Watching(project) as watching:
        most = math.inf
        for number in range(500):
            old = "'old'" if not number else f"'{number - 1}'\ntime.sleep(0.25)"
            project.edit("slow.py", old, f"'{number}'\ntime.sleep(0.25)")
            watching.awaits("out/copy.txt", str(number))
            await_true(watching.rests, 30, "the build goes on")
            assert sum(private_bytes(each.pid) for each in snapshots(watching)) < 600_000_000
            if number == 20:
                most = len(snapshots(watching)) + 4
            await_true(partial(has_at_most, watching, most), 10, "more and more snapshots")
        assert psutil.Process(watching.process.pid).num_fds() < 60
        assert watching.end() == 143
