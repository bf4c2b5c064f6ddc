"""The ends of a notebook: failures, exit codes, timeouts, cancellation."""

import json
import signal
import sys
import threading
import time
from typing import Any

import pytest

from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import Printed
from nbmake_dag_reporting.cell_ref import CellRef
from tests.support.notebook_runs import text

ENVIRONMENTS, NOTEBOOKS = " (`nbdag help environments`)", " (`nbdag help notebooks`)"
BESIDE = 'it exists beside the notebook: with `workdir = "nb"` the task runs in that folder (`nbdag help folders`)'


def test_a_raising_cell_fails_and_says_where(run):
    """The failure names cell, line, exception; the cells after it are not executed."""
    ran = run("\nx = 1", "\ny = 2\n1 / 0", "\nprint('never')", parameters={"p": 1})
    failure = ran.run.failure
    assert (ran.run.outcome, failure.type, failure.message) == ("failed", "ZeroDivisionError", "division by zero")
    assert (failure.cell, failure.cell_source, failure.line) == (CellRef(1), "y = 2\n1 / 0", 2)
    assert "ZeroDivisionError" in failure.traceback
    assert [cell.error for cell in ran.run.cells] == [None, "ZeroDivisionError"]
    assert ran.outputs[1]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert ran.run.exit_code == 0


def test_a_cell_that_may_raise_does_not_fail(run):
    """The tag raises-exception is honoured, for its cell alone."""
    ran = run(' tags=["raises-exception"]\n1 / 0', "\nprint('on')")
    assert (ran.run.outcome, text(ran.outputs[1])) == ("succeeded", "on\n")


@pytest.mark.parametrize(
    ("code", "type_", "message"),
    [
        ("import os; os._exit(0)", "exit", "the kernel ended with exit code 0"),
        ("import os; os._exit(3)", "exit", "the kernel ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "exit", "the kernel was killed by signal 9 (out of memory?)"),
        ("import os; os.kill(os.getpid(), 11)", "exit", "the kernel was killed by signal 11 (SIGSEGV)"),
        ("%nothing", "UsageError", "Line magic function `%nothing` not found."),
        ("input()", "StdinNotImplementedError", "raw_input was called"),
    ],
)
def test_a_kernel_that_ends_in_a_cell_is_a_failure(run, code, type_, message):
    """Whatever ends the notebook early, however politely, is no success; the cell shows it."""
    ran = run("\nprint('before')", f"\n{code}", "\nprint('after')")
    failure = ran.run.failure
    assert (ran.run.outcome, failure.type, failure.cell) == ("failed", type_, CellRef(1))
    assert failure.message.startswith(message)
    assert text(ran.outputs[0]) == "before\n"
    assert ran.outputs[1]["outputs"] != []


@pytest.mark.parametrize(
    "code",
    [
        "exit()",
        "quit()",
        "quit",
        "exit(0)",
        "import sys\nsys.exit()",
        "import sys\nsys.exit(0)",
        "raise SystemExit",
    ],
)
def test_a_notebook_may_end_early(run, code):
    """A cell that exits with success ends the notebook there, and its outputs tell so."""
    ran = run("\nprint('first')", f"\n{code}", "\nprint('never')", "\nprint('never')")
    printed = "first\n[nbdag: the notebook ended here; 2 later cells did not run]\n"
    assert (ran.run.outcome, ran.run.failure, text(*ran.outputs)) == ("succeeded", None, printed)
    assert [cell.error for cell in ran.run.cells] == [None, None]
    assert not [each for cell in ran.outputs for each in cell["outputs"] if each["output_type"] == "error"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("exit(3)", "3"),
        ("quit('none')", "none"),
        ("import sys\nsys.exit(1)", "1"),
        ("raise SystemExit('no')", "no"),
    ],
)
def test_an_exit_code_that_is_no_success_is_a_failure(run, code, message):
    """The cell that exits fails, with what it passed on as the message."""
    ran = run(f"\n{code}", "\nprint('never')")
    failure = ran.run.failure
    assert (ran.run.outcome, failure.type, failure.message, failure.cell) == (
        "failed",
        "SystemExit",
        message,
        CellRef(0),
    )
    assert "never" not in text(*ran.outputs)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("open('raw.csv')", BESIDE),
        ("open('nowhere.csv')", ""),
        *(
            (f"raise {error}", BESIDE)
            for error in (
                "OSError('raw.csv not found.')",
                "FileNotFoundError('No such file or directory (os error 2): raw.csv')",
                "FileNotFoundError(2, \"Unable to synchronously open file (name = 'raw.csv', errno = 2)\")",
                'FileNotFoundError(f\'Failed to open local file {__import__("os").path.abspath("raw.csv")!r}\')',
            )
        ),
        (
            "import no_such_module",
            f"the notebook ran in the kernel `python3`, whose Python is {sys.executable}{ENVIRONMENTS}",
        ),
        (
            "print(inputs)",
            f"assign `inputs = {{}}` in the cell tagged `parameters`; the declared inputs go there{NOTEBOOKS}",
        ),
        ("print(input_s)", ""),
        ("input('name?')", f"a build has nobody to ask: make it a parameter{NOTEBOOKS}"),
        (
            "inputs = []\nprint(inputs['x'])",
            '`inputs` is a list: give the paths names in pipeline.toml, as in `inputs = { name = "path" }`',
        ),
        ("own = []\nprint(own['x'])", ""),
    ],
)
def test_a_failure_has_a_hint_where_the_attempt_knows_more(run, tmp_path, code, hint):
    """A file beside the notebook, the interpreter that lacks a module, names that are injected only on request."""
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb/raw.csv").write_text("x")
    ran = run(f"\n{code}", name="nb/a.py", interpreter=sys.executable)
    assert ran.run.failure.hint == hint


def test_a_parameter_that_got_no_value_is_named(run):
    """The tagged cell may only annotate it, to say that it must be given."""
    ran = run(' tags=["parameters"]\nyear: int', "\nprint(year)")
    assert ran.run.failure.hint == (
        "the cell tagged `parameters` gives `year` no value:"
        " add `parameters = { year = ... }` to the task, or build with `-p year=VALUE`"
    )


def test_a_kernel_that_fails_at_exit_is_a_failure(run):
    """All cells ran, but the process did not end well."""
    ran = run("\nimport atexit, os\natexit.register(os._exit, 7)")
    assert (ran.run.outcome, ran.run.exit_code) == ("failed", 7)
    assert ran.run.failure.message == "the kernel ended with exit code 7 after its last cell"


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_exit_handlers_run_and_open_files_are_flushed(run, tmp_path, start):
    """What a notebook leaves to the end of its process happens before the run is over."""
    (tmp_path / "helper.py").write_text("f = open('module', 'w')\nf.write('1')\n")
    ran = run(
        "\nimport atexit, threading, time, weakref, helper\n"
        "atexit.register(lambda: open('atexit', 'w').write('1'))\n"
        "f = open('unclosed', 'w'); f.write('1')\n"
        "class Last:\n    def __del__(self): open('deleted', 'w').write('1')\n"
        "last = Last()\nlast.itself = last\n"
        "threading.Thread(target=lambda: (time.sleep(.1), open('thread', 'w').write('1'))).start()",
        start=start,
    )
    assert ran.run.failure is None
    names = ["atexit", "unclosed", "deleted", "thread", "module"]
    assert [(tmp_path / name).read_text() for name in names] == ["1"] * 5


@pytest.mark.timing
def test_a_notebook_that_takes_too_long_is_interrupted(run, monkeypatch):
    """The deadline counts from the kernel being ready; what was done so far is kept, and exit handlers run."""
    for name in ("TIMEOUT_GRACE", "STOPPED_EXIT_TIMEOUT", "STOPPED_TIMEOUT"):
        monkeypatch.setattr(f"nbmake_dag.execute.notebook.run.{name}", 60.0)
    ran = run(
        "\nimport atexit, time\natexit.register(lambda: open('atexit', 'w'))\nprint('so far')",
        "\nwhile True: time.sleep(.01)",
        "\nprint('never')",
        timeout=2.0,
    )
    assert (ran.run.outcome, ran.run.failure.type, ran.run.failure.cell) == ("timeout", "timeout", CellRef(1))
    assert ran.run.failure.message == "took longer than 2 s"
    assert text(ran.outputs[0]) == "so far\n"
    assert ran.outputs[1]["outputs"][0]["ename"] == "KeyboardInterrupt"
    assert ran.run.exit_code == 0


@pytest.mark.timing
@pytest.mark.parametrize(
    "code",
    [
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    ],
)
def test_a_notebook_that_does_not_hear_is_killed(run, monkeypatch, code):
    """A kernel that ignores the interrupt, or is stopped, ends all the same."""
    monkeypatch.setattr("nbmake_dag.execute.notebook.run.TIMEOUT_GRACE", 0.5)
    ran = run(f"\n{code}", timeout=2)
    assert (ran.run.outcome, ran.run.exit_code) == ("timeout", -signal.SIGKILL)
    assert ran.outputs[0]["outputs"][-1]["ename"] == "KernelError"


def test_a_cell_that_the_kernel_does_not_answer_for_ends(run, monkeypatch):
    """IPython fails itself where the compiler gives up, and then sends no reply."""
    monkeypatch.setattr("nbmake_dag.execute.notebook.client.REPLY_TIMEOUT", 0.5)
    ran = run("\nx = " + "+".join(["1"] * 30_000))
    assert ran.run.outcome == "failed"
    assert "could not run the cell" in ran.run.failure.message


def test_a_cancelled_notebook_ends(run):
    """It is interrupted where it stands, and says that it was cancelled."""
    cancellation = Cancellation()

    def cancel_in_cell(event):
        if isinstance(event, Printed):
            threading.Thread(target=cancellation.request, args=(60.0,)).start()

    ran = run(
        "\nimport time\nprint('on', flush=True)\ntime.sleep(100)", cancellation=cancellation, emit=cancel_in_cell
    )
    assert (ran.run.outcome, ran.run.failure, ran.run.cells[0].error) == ("cancelled", None, "KeyboardInterrupt")


@pytest.mark.timing
def test_a_notebook_is_cancelled_while_its_kernel_is_being_started(run, tmp_path):
    """It does not wait until a slow module has been imported."""
    begun = tmp_path / "begun"
    (tmp_path / "slow.py").write_text(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(50)\n")
    cancellation = Cancellation()

    def cancel_once_begun():
        while not begun.exists():
            time.sleep(0.05)
        cancellation.request(5.0)

    threading.Thread(target=cancel_once_begun).start()
    started = time.monotonic()
    ran = run("\nprint(1)", cancellation=cancellation, env={"PYTHONPATH": str(tmp_path)}, preload=("slow",))
    assert (ran.run.outcome, ran.run.failure) == ("cancelled", None)
    assert time.monotonic() - started < 40


OTHER_KERNEL = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class Other(Kernel):
    implementation, implementation_version, banner = "other", "1", ""
    language_info = {"name": "other", "mimetype": "text/plain", "file_extension": ".other"}

    async def do_execute(self, code, silent, *args, **kwargs):
        warning = {"name": "stderr", "text": "no such table" + chr(10)}
        error = {"ename": "ERROR", "evalue": "stopped", "traceback": ["stopped at 1"]}
        self.send_response(self.iopub_socket, "stream", warning)
        self.send_response(self.iopub_socket, "error", error)
        return {"status": "error", "execution_count": self.execution_count, **error}


IPKernelApp.launch_instance(kernel_class=Other)
"""


def test_a_failing_cell_of_another_language_shows_its_stderr(run, tmp_path, monkeypatch):
    """R, for one, puts what went wrong into a warning there, and little into the error."""
    kernel = tmp_path / "kernels/other"
    kernel.mkdir(parents=True)
    (kernel / "kernel.py").write_text(OTHER_KERNEL)
    argv = [sys.executable, str(kernel / "kernel.py"), "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "other", "language": "other"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    run_nothing: dict[str, Any] = {"metadata": {}, "outputs": [], "execution_count": None}
    cell = {"cell_type": "code", "source": "read", **run_nothing}
    document = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]}
    (tmp_path / "a.ipynb").write_text(json.dumps(document))
    failure = run(name="a.ipynb", kernel="other").run.failure
    assert (failure.type, failure.traceback) == ("ERROR", "no such table\nstopped at 1")
