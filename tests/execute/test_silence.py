"""A kernel that is stuck for ever is ended; one that waits for something is not."""

from __future__ import annotations

import pytest

from nbmake_dag.execute.notebook import silence
from nbmake_dag.execute.notebook.kernel import Kernel
from nbmake_dag.execute.protocol import Printed


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look every 0.2 s, and call silent what was so for 0.6 s."""
    monkeypatch.setattr(silence, "LOOK_PERIOD", 0.2)
    monkeypatch.setattr(silence, "ANSWER_TIMEOUT", 0.2)
    monkeypatch.setattr(silence, "SILENCE_LIMIT", 0.6)


STOPPED = "import os, signal\nos.killpg(0, signal.SIGSTOP)"


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_a_kernel_that_never_answers_again_is_killed_and_it_is_said(run, start):
    """Its processes are stopped: no thread answers, and nothing moves."""
    result = run("\n1", f"\n{STOPPED}", start=start)
    assert result.run.outcome == "failed"
    assert result.run.failure.cell.index == 1
    assert result.run.failure.message.startswith("the kernel was stuck, and was killed: it answered nothing for ")


@pytest.mark.parametrize(
    "waiting",
    [
        pytest.param("import time\ntime.sleep(2)", id="sleep"),
        pytest.param("import subprocess\nsubprocess.run(['sleep', '2'])", id="child"),
        pytest.param("import ctypes\nctypes.PyDLL(None).sleep(2)", id="C code that holds the interpreter's lock"),
    ],
)
def test_a_legitimate_wait_is_left_alone(run, waiting):
    """No processor time, no I/O, no output, far beyond the limit: but its heartbeat answers."""
    result = run(f"\n{waiting}\nprint('done')")
    assert result.run.outcome == "succeeded"


@pytest.mark.slow
def test_a_kernel_that_need_not_answer_while_it_computes_is_reported_and_not_killed(run, monkeypatch):
    """As those of other languages: only the time limit ends it."""
    monkeypatch.setattr(Kernel, "has_control_thread", False)
    result = run(f"\n{STOPPED}", timeout=4.0)
    assert result.run.outcome == "timeout"
    (printed,) = [event.text for event in result.events if isinstance(event, Printed)]
    assert printed.startswith("[nbdag: the kernel may be stuck: it answered nothing for ")
