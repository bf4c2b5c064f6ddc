"""Commands run in a session of their own: output, status, time limits and cancellation."""

from __future__ import annotations

import os
import resource
import threading
import time

import pytest

from nbmake_dag.execute.process_work import run_command
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.processes.runtime_dir import MARKER
from nbmake_dag.execute.protocol import CommandWork, Event, Printed
from tests.support.attempts import failure_of
from tests.support.limits import limited
from tests.support.project import await_end, await_true


def _run(project, arguments, *, cancellation=None, emit=None, **fields):
    work = CommandWork(arguments=arguments)
    events: list[Event] = []
    run = run_command(project.spec(work, **fields), work, emit or events.append, cancellation or Cancellation())
    prints = [event for event in events if isinstance(event, Printed)]
    assert prints == events
    printed = {name: "".join(e.text for e in prints if e.stream == name) for name in ("stdout", "stderr")}
    return run, printed


def test_a_command_succeeds_with_what_it_printed(project):
    """Both streams are shown as they come and kept in one log."""
    run, printed = _run(project, ("sh", "-c", "echo out; echo err >&2"))
    assert (run.outcome, run.failure, run.exit_code) == ("succeeded", None, 0)
    assert printed == {"stdout": "out\n", "stderr": "err\n"}
    assert sorted(run.log.splitlines()) == [b"err", b"out"]
    assert run.started < run.ended
    assert (run.cpu_s or 0) >= 0
    assert (run.peak_rss or 0) > 100_000


def test_a_string_is_a_line_of_shell_that_stops_at_its_first_failure(project):
    """As ``sh -e`` does."""
    run, _ = _run(project, "echo one; false; echo two")
    assert (run.outcome, run.log) == ("failed", b"one\n")


def test_a_failing_command_shows_its_status_and_its_last_words(project):
    """The exit status is kept, and the end of the output explains it."""
    run, _ = _run(project, "echo reason >&2; exit 3")
    assert (run.outcome, run.exit_code) == ("failed", 3)
    assert (failure_of(run).type, failure_of(run).message, failure_of(run).traceback) == (
        "exit",
        "exit status 3",
        "reason\n",
    )


@pytest.mark.fault
def test_a_command_for_which_the_machine_has_no_room_is_lost(project):
    """It did not fail: it never ran, and is started again."""
    with limited(resource.RLIMIT_NOFILE, 0):
        run, _ = _run(project, ["true"])
    assert (run.outcome, run.exit_code) == ("lost", None)
    assert failure_of(run).message.startswith("'true' cannot be started: [Errno 24] Too many open files")


def test_a_command_that_a_signal_ended_says_which(project):
    """A crash is no exit status."""
    run, _ = _run(project, "kill -SEGV $$")
    assert (run.outcome, failure_of(run).message, run.exit_code) == (
        "failed",
        "ended by signal 11 (Segmentation fault)",
        -11,
    )


@pytest.mark.parametrize(
    ("arguments", "kind"), [(("not-there", "x"), "FileNotFoundError"), (("./data.txt",), "PermissionError")]
)
def test_a_command_that_cannot_be_started_fails(project, arguments, kind):
    """It is the user's mistake, not ours."""
    project.write("data.txt", "")
    run, _ = _run(project, arguments)
    assert (run.outcome, failure_of(run).type, run.pid) == ("failed", kind, None)
    assert failure_of(run).message.startswith(f"{arguments[0]!r} cannot be started: ")


@pytest.mark.parametrize("workdir", ["absent", "data.txt"])
def test_a_command_that_has_no_folder_to_run_in_says_so(project, workdir):
    """Its program may be there."""
    project.write("data.txt", "")
    run, _ = _run(project, "true", workdir=workdir)
    assert failure_of(run).message.startswith(f"it cannot run in {project.root}/{workdir}: No")


def test_a_command_sees_its_folder_its_environment_and_no_input(project):
    """Nothing but what the driver gave it."""
    (project.root / "sub").mkdir()
    run, _ = _run(project, "pwd; echo $A; cat", workdir="sub", env={"PATH": os.environ["PATH"], "A": "b"})
    assert run.log.decode() == f"{project.root}/sub\nb\n"


def test_a_command_of_any_language_logs_by_writing_lines(project):
    """The protocol is a file of JSON lines and a folder."""
    run, _ = _run(
        project,
        """
        echo '{"kind":"metric","key":"auc","value":0.9}' >> "$NBDAG_LOG"
        mkdir -p "$NBDAG_ARTIFACTS"
        echo hello > "$NBDAG_ARTIFACTS/hello.txt"
        echo '{"kind":"artifact","name":"hello.txt","path":"hello.txt"}' >> "$NBDAG_LOG"
        """,
    )
    assert run.outcome == "succeeded"
    assert project.folded().logged.metrics == {"auc": 0.9}
    assert project.folded().logged.artifacts["hello.txt"].media_type == "text/plain"
    assert project.artifact("hello.txt") == b"hello\n"


@pytest.mark.timing
def test_a_timeout_interrupts_first_and_kills_what_does_not_listen(project):
    """The whole group is gone afterwards."""
    run, _ = _run(project, "trap '' INT; sleep 100 & echo $!; wait; sleep 100", timeout=2)
    assert (run.outcome, failure_of(run).type, failure_of(run).message) == (
        "timeout",
        "timeout",
        "still running after 2 s",
    )
    await_end(int(run.log))
    assert run.exit_code == -9


def test_a_cancelled_command_may_tidy_up(project):
    """It gets an interrupt, and its grace."""
    cancellation = Cancellation()
    run, _ = _run(
        project,
        "trap 'echo tidy; exit 0' INT; echo ready; while :; do sleep 0.05; done",
        cancellation=cancellation,
        emit=lambda event: cancellation.request(30) if "ready" in event.text else None,
    )
    assert (run.outcome, run.failure) == ("cancelled", None)
    assert run.log == b"ready\ntidy\n"


def test_a_command_that_ignores_the_interrupt_is_killed_after_its_grace(project):
    """Cancelling always ends."""
    cancellation = Cancellation()
    run, _ = _run(
        project,
        "trap '' INT; echo ready; while :; do sleep 0.05; done",
        cancellation=cancellation,
        emit=lambda _: cancellation.request(0.1),
    )
    assert (run.outcome, run.exit_code) == ("cancelled", -9)


def test_what_was_cancelled_before_it_began_never_starts(project):
    """No process, no output."""
    cancellation = Cancellation()
    cancellation.request(1)
    run, _ = _run(project, "touch started", cancellation=cancellation)
    assert (run.outcome, run.pid) == ("cancelled", None)
    assert list(project.root.iterdir()) == []


@pytest.mark.timing
def test_what_a_command_leaves_behind_in_its_group_is_ended_with_it(project):
    """A background process does not keep the task running, and does not outlive it."""
    run, _ = _run(project, "sleep 100 & echo $!")
    assert run.outcome == "succeeded"
    await_end(int(run.log))


@pytest.mark.timing
def test_a_process_that_left_the_group_does_not_hold_the_task(project):
    """It keeps the pipe open; the attempt ends all the same, and ends the process."""
    begun = time.monotonic()
    project.extra |= {MARKER: str(project.scratch), "NBDAG_TASK": "t"}
    run, _ = _run(project, "setsid sleep 100 & echo $!; while ! ps -o sid= $! | grep -q $!; do :; done")
    assert run.outcome == "succeeded"
    assert time.monotonic() - begun < 50
    await_end(int(run.log))


def test_of_endless_output_the_beginning_and_the_end_are_kept(project):
    """Memory and log stay bounded; what is left out is counted."""
    run, printed = _run(project, "head -c 30000000 /dev/zero | tr '\\0' x; echo end")
    assert run.log.endswith(b"xend\n")
    assert len(run.log) < 17 << 20
    assert len(printed["stdout"]) < 13 << 20
    left_out = int(run.log.split(b"[")[1].split(b" ")[0])
    assert run.log.count(b"x") + left_out == 30_000_000


def test_pieces_are_bounded_and_letters_are_not_cut(project):
    """A piece holds at most 64 KiB; a letter of several bytes is in one of them; other bytes are replaced."""
    sizes = []
    code = r"import sys; sys.stdout.buffer.write(b'\xff' + 'äé€'.encode() * 50000)"
    run, _ = _run(project, ("python3", "-c", code), emit=lambda event: sizes.append(event.text))
    assert "".join(sizes) == "\ufffd" + "äé€" * 50000
    assert max(len(text.encode()) for text in sizes) <= 64 << 10
    assert run.outcome == "succeeded"


@pytest.mark.timing
def test_many_commands_at_once_leave_no_thread_behind(project):
    """The threads that follow a process end with it."""
    before = threading.active_count()
    for _ in range(10):
        _run(project, ("true",))
    await_true(lambda: threading.active_count() <= before, 60, "threads are left")
