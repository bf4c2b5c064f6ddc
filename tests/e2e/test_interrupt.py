"""Ctrl-C at a terminal, once and twice, and SIGTERM: nothing half written, nobody left, a run that can be read."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from nbmake_dag import ending_signals
from nbmake_dag.ending_signals import handling, write_to_reader
from nbmake_dag_reporting.runs import find_run, read_run
from tests.support.project import NBDAG, Project, await_true

pytestmark = pytest.mark.timing

STOPS_WITHIN_S = 15


class Terminal:
    """A terminal with a build as its foreground job."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self._master, self._slave = os.openpty()
        self._before = termios.tcgetattr(self._slave)
        self.shown = bytearray()
        self.process = subprocess.Popen(
            [*NBDAG, *arguments],
            cwd=project.root,
            env=project.environment({"TERM": "xterm"}),
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # no thread has begun
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @property
    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._slave) == self._before

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._slave)
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        try:
            while piece := os.read(self._master, 1 << 16):
                self.shown += piece
        except OSError:
            pass  # the last process of the terminal has gone


@contextmanager
def terminal(project: Project, *arguments: str) -> Iterator[Terminal]:
    opened = Terminal(project, *arguments)
    try:
        yield opened
    finally:
        opened.close()


def endless(project: Project, *, stubborn: bool) -> Project:
    """Make a notebook that writes half an output, starts a process of its own, and hangs until told to go on."""
    project.pipeline(
        """
        [tasks.endless]
        notebook = "endless.py"
        outputs = ["result.txt"]

        [tasks.below]
        command = "cp result.txt copy.txt"
        inputs = ["result.txt"]
        outputs = ["copy.txt"]
        """
    )
    project.write("result.txt", "of yesterday")
    return project.notebook(
        "endless.py",
        "import os, pathlib, signal, subprocess, time",
        "open('result.txt', 'w').write('half')",
        f"""
        if not os.path.exists('../go'):
            if {stubborn}:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            subprocess.Popen(['sleep', '3600'], start_new_session=True)
            pathlib.Path('../begun').touch()
            while True:
                time.sleep(1)
        """,
        "open('result.txt', 'w').write('whole')",
    )


def ctrl_c(terminal: Terminal) -> None:
    terminal.press_ctrl_c()


def ctrl_c_twice(terminal: Terminal) -> None:
    terminal.press_ctrl_c()
    terminal.press_ctrl_c()


def terminate(terminal: Terminal) -> None:
    terminal.send(signal.SIGTERM)


@pytest.mark.parametrize(
    ("stop", "stubborn", "code"),
    [
        (ctrl_c, False, 130),
        pytest.param(ctrl_c, True, 130, marks=pytest.mark.slow),
        pytest.param(ctrl_c_twice, True, 130, marks=pytest.mark.slow),
        (terminate, False, 143),
    ],
)
def test_an_interrupted_build_stops_and_leaves_all_as_it_was(
    project: Project, stop: Callable[[Terminal], None], *, stubborn: bool, code: int
):
    """Also when a cell will not listen; the old output is back, the half one kept aside; the next build ends."""
    endless(project, stubborn=stubborn)
    begun = project.root.parent / "begun"
    with terminal(project, "build") as window:
        await_true(begun.exists, 60, "the notebook did not begin")
        stop(window)
        assert window.process.wait(STOPS_WITHIN_S) == code, window.shown.decode()
        assert window.is_as_before
    assert b"Traceback" not in window.shown
    assert project.read("result.txt") == "of yesterday"
    assert not (project / "copy.txt").exists()
    project.leaves_nobody(within_s=5)

    run = read_run(find_run(str(project / ".nbdag/runs"), "latest"))
    assert run.result == "cancellation"
    statuses = {task.name: task.status for task in run.tasks.values()}
    assert statuses == {"endless": "cancelled", "below": "cancelled"}
    assert project.read(f".nbdag/failed/{run.id}/endless/result.txt") == "half"

    (project.root.parent / "go").touch()
    project.build().ran("endless", "below")
    assert project.read("copy.txt") == "whole"


SIGNALS_ITSELF = """
import os
import shutil
import signal
from nbmake_dag.engine.request import Request
from nbmake_dag.engine.build import build
from nbmake_dag.observe.project import find_project
from nbmake_dag.record.run_events import TaskEnded

class Ends:
    def notify(self, event):
        if isinstance(event, TaskEnded):
            END

raise SystemExit(build(find_project(), Request(), (Ends(),), waiting=print).exit_code)
"""
TERMINATE = "os.kill(os.getpid(), signal.SIGTERM)"
LOSE_THE_LOCK = "shutil.rmtree('.nbdag/state', ignore_errors=True)"


def ends_itself(project: Project, how: str) -> subprocess.CompletedProcess[str]:
    """Build, and do something whenever a task has ended."""
    return subprocess.run(
        [sys.executable, "-c", SIGNALS_ITSELF.replace("END", how)],
        cwd=project.root,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_signal_at_the_very_end_is_not_forgotten(project: Project) -> None:
    """A signal that comes when the last task has ended still ends the run, and whatever would have followed it."""
    project.pipeline("""
        [tasks.only]
        command = "echo 1 > only.out"
        outputs = ["only.out"]
    """)
    ended = ends_itself(project, TERMINATE)
    assert (ended.returncode, ended.stderr) == (143, "")
    assert read_run(find_run(str(project / ".nbdag" / "runs"), "latest")).result == "cancellation"
    project.build().ran()


@pytest.mark.parametrize(("how", "code"), [(TERMINATE, 143), (LOSE_THE_LOCK, 3)])
def test_a_build_that_ends_restores_no_more(project: Project, how: str, code: int) -> None:
    """Nor does one that has lost its lock, without which it may write nothing; the next build does the rest."""
    count = 40
    project.pipeline(f"""
        [tasks.many]
        matrix = {{ n = {list(range(count))} }}
        command = "head -c 3000000 /dev/zero > {{n}}.out; echo {{n}} >> {{n}}.out"
        outputs = ["{{n}}.out"]
    """)
    project.build()
    for made in project.root.glob("*.out"):
        made.unlink()
    assert ends_itself(project, how).returncode == code
    restored = len(list(project.root.glob("*.out")))
    assert 0 < restored < count
    project.build().ran()
    assert len(list(project.root.glob("*.out"))) == count


@pytest.mark.parametrize(("stream", "option"), [("stderr", "--output=stream"), ("stdout", "--json-lines")])
def test_a_build_whose_lines_nobody_reads_ends_when_it_is_asked_to(project, stream, option):
    """A pipe that is full keeps the driver in its write; the task is ended all the same."""
    project.write("pipeline.toml", '[tasks.talks]\ncommand = "yes | head -n 50000; sleep 1000"\n')
    read, write = os.pipe()
    waits = select.poll()
    waits.register(write, select.POLLOUT)
    build = subprocess.Popen(
        [*NBDAG, "build", option],
        cwd=project.root,
        env=project.environment(),
        start_new_session=True,
        stdout=write if stream == "stdout" else subprocess.DEVNULL,
        stderr=write if stream == "stderr" else subprocess.DEVNULL,
    )
    try:
        await_true(lambda: not waits.poll(0), 30, "the pipe does not fill")
        build.terminate()
        assert build.wait(2 * STOPS_WITHIN_S) == 143
    finally:
        build.kill()
        build.wait()
        os.close(read)
        os.close(write)
    project.leaves_nobody(within_s=5)
    assert read_run(find_run(str(project / ".nbdag" / "runs"), "latest")).result == "cancellation"


def test_a_reader_that_only_pauses_gets_all_lines():
    """Also once an end was asked for: it is then that the summary comes."""
    text, got = b"line\n" * 50_000, list[bytes]()
    read, write = os.pipe()
    with handling(lambda _: None):
        os.kill(os.getpid(), signal.SIGTERM)
        pausing = threading.Timer(1.0, lambda: got.append(_all_of(read)))
        pausing.daemon = True
        pausing.start()
        write_to_reader(write, text)
    os.close(write)
    pausing.join()
    os.close(read)
    assert got == [text]


def test_an_end_that_an_earlier_build_was_asked_for_is_none_of_the_next() -> None:
    """In one process, as in a notebook; a wait within a build is part of it."""
    with handling(lambda _: None):
        os.kill(os.getpid(), signal.SIGTERM)
        with handling(lambda _: None):
            assert ending_signals._was_asked.is_set()
    with handling(lambda _: None):
        assert not ending_signals._was_asked.is_set()


def _all_of(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 1 << 16), b""))
