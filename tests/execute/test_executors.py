"""The inline executor: every attempt submitted is answered, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import ANY

import psutil
import pytest

from nbmake_dag.execute import executor
from nbmake_dag.execute.executor import python_argv
from nbmake_dag.execute.protocol import (
    Ended,
    ExecutorLost,
    ExecutorReady,
    Printed,
    Returned,
    Started,
)
from tests.execute.drivers import WITHIN_S, Driver

pytestmark = pytest.mark.timing


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(tmp_path, "inline", lambda _: python_argv("nbmake_dag.execute.worker"))
    assert driver.events.get(timeout=WITHIN_S) == ExecutorReady(executor="inline", resources={"CPU": 1.0})
    yield driver
    driver.close()


def test_an_attempt_tells_its_start_its_output_and_its_end(driver: Driver) -> None:
    """The events of one attempt, in order; the result has the outputs."""
    driver.submit("a", "echo hello; echo data > out", declared_outputs=("out",))
    started, *printed, ended = driver.until(Ended)
    assert isinstance(started, Started)
    assert "".join(event.text for event in printed if isinstance(event, Printed)) == "hello\n"
    assert isinstance(ended, Ended)
    assert (ended.task, ended.attempt, ended.result.outcome) == ("a", 1, "succeeded")
    assert [output.path for output in ended.result.outputs] == ["out"]


def test_a_running_command_is_cancelled_and_so_is_a_waiting_one(driver: Driver) -> None:
    """The running one is interrupted; the one behind it never starts."""
    driver.submit("running", "touch started; sleep 1000")
    driver.submit("waiting", "touch never")
    driver.wait_for("started")
    driver.executor.cancel("waiting", 5.0)
    driver.executor.cancel("running", 5.0)
    ends = [event for event in driver.until(Ended, 2) if isinstance(event, Ended)]
    assert [(end.task, end.result.outcome) for end in ends] == [("running", "cancelled"), ("waiting", "cancelled")]
    assert not (driver.root / "never").exists()


def test_what_waits_behind_a_failure_is_returned(driver: Driver) -> None:
    """Also what was submitted before the driver knew of the failure; after that, the next one begins."""
    driver.submit("bad", "touch started; until test -e go; do sleep 0.01; done; exit 1")
    driver.submit("behind", "touch never", known_failures=0)
    driver.wait_for("started")
    (driver.root / "go").touch()
    assert driver.events.get(timeout=WITHIN_S) == Started(task="bad", attempt=1, time=ANY, pid=ANY, node=None)
    assert driver.events.get(timeout=WITHIN_S) == Returned(task="behind", attempt=2)
    assert driver.ended().result.outcome == "failed"
    driver.submit("too early", "touch never", known_failures=0)
    assert driver.until(Returned)[-1] == Returned(task="too early", attempt=3)
    driver.submit("later", "true", known_failures=1)
    assert driver.ended().result.outcome == "succeeded"
    assert not (driver.root / "never").exists()


def test_what_waits_can_be_recalled_and_what_runs_cannot(driver: Driver) -> None:
    """A task that takes longer than expected keeps nothing from running elsewhere."""
    driver.submit("long", "touch started; until test -e go; do sleep 0.01; done")
    driver.submit("short", "touch never", known_failures=0)
    driver.wait_for("started")
    driver.executor.recall("long")
    driver.executor.recall("short")
    assert driver.until(Returned)[-1] == Returned(task="short", attempt=2)
    (driver.root / "go").touch()
    assert (driver.ended().task, (driver.root / "never").exists()) == ("long", False)


@pytest.mark.fault
def test_what_waited_in_a_killed_worker_is_returned(driver: Driver) -> None:
    """Only what it ran is lost: the others never began."""
    driver.submit("a", "touch started; sleep 1000")
    driver.submit("b", "true", known_failures=0)
    driver.wait_for("started")
    (worker,) = psutil.Process(driver.supervisor.pid).children()
    worker.kill()
    events = driver.until(ExecutorLost)
    assert [event.task for event in events if isinstance(event, Ended)] == ["a"]
    assert [event for event in events if isinstance(event, Returned)] == [Returned(task="b", attempt=2)]


def test_a_cancelled_task_that_is_not_there_changes_nothing(driver: Driver) -> None:
    """It ended a moment ago, or never was."""
    driver.executor.cancel("unknown", 1.0)
    driver.submit("a", "true")
    assert driver.ended().result.outcome == "succeeded"


@pytest.mark.fault
def test_a_killed_worker_loses_its_attempts_and_what_they_ran(driver: Driver) -> None:
    """One `Ended` for each, with the work's processes gone, then `ExecutorLost`; later ones are lost at once."""
    driver.submit("a", "touch started; sleep 1000")
    driver.submit("b", "true")
    driver.wait_for("started")
    (worker,) = psutil.Process(driver.supervisor.pid).children()
    work = worker.children(recursive=True)
    worker.kill()
    *ends, lost = driver.until(ExecutorLost)
    assert [(end.task, end.result.outcome) for end in ends if isinstance(end, Ended)] == [
        ("a", "lost"),
        ("b", "lost"),
    ]
    assert lost == ExecutorLost(executor="inline", reason="the inline executor was killed by signal 9")
    assert not psutil.wait_procs(work, timeout=5)[1]
    driver.submit("c", "true")
    assert driver.ended().result.outcome == "lost"


def test_however_many_are_cancelled_one_thread_waits_for_them(driver: Driver) -> None:
    """And it ends with the last of them."""
    names = [f"t{number}" for number in range(50)]
    for name in names:
        driver.submit(name, "sleep 1000", known_failures=0)
    for name in names:
        driver.executor.cancel(name, 0.0)
        driver.executor.cancel(name, 0.0)
    waiting = [thread for thread in threading.enumerate() if thread.name == "inline cancels"]
    assert len(waiting) == 1
    answered: set[str] = set()
    while len(answered) < len(names):
        event = driver.events.get(timeout=WITHIN_S)
        answered |= {event.task} if isinstance(event, Ended | Returned) else set()
    waiting[0].join(WITHIN_S)
    assert not waiting[0].is_alive()


@pytest.mark.fault
def test_a_worker_that_does_not_answer_is_ended_with_what_it_was_to_cancel(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped worker obeys no order, and its own deadline stands still with it."""
    monkeypatch.setattr(executor, "DEAF_AFTER_S", 0.0)
    driver.submit("a", "touch started; sleep 1000")
    driver.submit("b", "true", known_failures=0)
    driver.wait_for("started")
    (worker,) = psutil.Process(driver.supervisor.pid).children()
    work = worker.children(recursive=True)
    worker.suspend()
    driver.executor.cancel("a", 0.0)
    events = driver.until(ExecutorLost)
    ends = [(event.task, event.result.outcome) for event in events if isinstance(event, Ended)]
    assert ends == [("a", "cancelled")]
    assert [event.task for event in events if isinstance(event, Returned)] == ["b"]
    assert not psutil.wait_procs(work, timeout=WITHIN_S)[1]


@pytest.mark.fault
def test_a_killed_supervisor_is_noticed(driver: Driver) -> None:
    """The driver learns of it as of any lost executor, and nothing runs on."""
    driver.submit("a", "touch started; sleep 1000")
    driver.wait_for("started")
    below = driver.below()
    assert driver.supervisor.pid is not None
    os.kill(driver.supervisor.pid, signal.SIGKILL)
    *_, ended, lost = driver.until(ExecutorLost)
    assert isinstance(ended, Ended)
    assert ended.result.outcome == "lost"
    assert isinstance(lost, ExecutorLost)
    assert not psutil.wait_procs(below, timeout=5)[1]


REFUSED = """Exception ignored error evaluating path:
Traceback (most recent call last):
  File "<frozen getpath>", line 353, in <module>
OSError: [Errno 24] Too many open files
Fatal Python error: error evaluating path
Python runtime state: core initialized
"""


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("broken", ": broken"),
        ("half\nbroken", "; its last output:\nhalf\nbroken"),
        (REFUSED, ": OSError: [Errno 24] Too many open files"),
    ],
)
def test_an_executor_that_cannot_start_says_why(tmp_path: Path, printed: str, reason: str) -> None:
    """Its last output is the reason; of an interpreter that the machine refused something, that alone."""
    driver = Driver(tmp_path, "inline", lambda _: ["sh", "-c", 'echo "$1" >&2; exit 3', "sh", printed])
    said = driver.events.get(timeout=WITHIN_S)
    assert said == ExecutorLost(executor="inline", reason=f"the inline executor exited with 3{reason}")
    driver.close()


def test_an_executor_that_speaks_nonsense_is_lost(tmp_path: Path) -> None:
    """A frame that is no event ends the connection, and the process."""
    code = "import os, time; os.write(3, b'\\0\\0\\0\\2{}'); time.sleep(1000)"
    driver = Driver(tmp_path, "inline", lambda _: [sys.executable, "-c", code])
    event = driver.events.get(timeout=WITHIN_S)
    assert isinstance(event, ExecutorLost)
    assert event.reason.startswith("it sent an invalid message")
    driver.close()


def test_a_closed_executor_ends_and_reports_nothing(driver: Driver) -> None:
    """`close` is not a loss."""
    below = driver.below()
    driver.executor.close()
    assert not psutil.wait_procs(below, timeout=5)[1]
    assert driver.events.empty()


def test_folders_of_the_user_cannot_stand_in_for_our_packages(tmp_path: Path) -> None:
    """Started in a folder that holds ``nbmake_dag`` and ``nbmake_dag_cache``, it imports the installed ones."""
    for name in ("nbmake_dag", "nbmake_dag_cache"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('hijacked')\n")
    argv = python_argv("nbmake_dag.execute.ray.host", "--help")
    ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_worker_imports_nothing_that_plans():
    """It starts with each build, and is told what to do: no pipeline is read in it, and nothing decided."""
    code = (
        "from nbmake_dag.execute.import_blocklist import stay_light; stay_light();"
        "import sys, nbmake_dag.execute.worker, nbmake_dag.execute.notebook.run, nbmake_dag.execute.ray.host;"
        "print([name for name in sys.modules if name.startswith(('nbmake_dag.config', 'nbmake_dag.engine'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
