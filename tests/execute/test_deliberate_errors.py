"""Cells that may raise: by their tag, or because the whole notebook may."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nbmake_dag.execute.protocol import CellEnded
from tests.support.notebook_runs import text

RAISES, GOES_ON = "\n1 / 0", "\nprint('on')"


@pytest.mark.parametrize(
    ("cell", "allow_errors"),
    [(' tags=["raises-exception"]\n1 / 0', False), (RAISES, True)],
    ids=["tag", "notebook"],
)
def test_an_allowed_error_is_told_apart_from_a_failure(run, cell, allow_errors):
    """Later cells run; the cell and its event name the exception as allowed, and its traceback is kept."""
    ran = run(cell, GOES_ON, allow_errors=allow_errors)
    assert (ran.run.outcome, ran.run.failure, text(ran.outputs[1])) == ("succeeded", None, "on\n")
    expected = [(None, "ZeroDivisionError"), (None, None)]
    assert [(each.error, each.allowed) for each in ran.run.cells] == expected
    ended = [event for event in ran.events if isinstance(event, CellEnded)]
    assert [(each.error, each.allowed) for each in ended] == expected
    assert ran.outputs[0]["outputs"][0]["ename"] == "ZeroDivisionError"


def test_a_tag_allows_the_errors_of_its_own_cell_alone(run):
    """The next cell that raises fails, and of the first one it is still known what it raised."""
    ran = run(' tags=["raises-exception"]\n1 / 0', "\nint('x')")
    assert (ran.run.outcome, ran.run.failure.type) == ("failed", "ValueError")
    assert [(each.error, each.allowed) for each in ran.run.cells] == [
        (None, "ZeroDivisionError"),
        ("ValueError", None),
    ]


def test_a_cell_that_may_raise_need_not(run):
    """Nothing is said of a cell that could have raised."""
    ran = run(' tags=["raises-exception"]\nprint("well")', GOES_ON, allow_errors=True)
    assert (ran.run.outcome, [each.allowed for each in ran.run.cells]) == ("succeeded", [None, None])


@pytest.mark.parametrize("code", ["sys.exit()", "sys.exit(0)", "exit()"])
def test_a_notebook_that_may_raise_still_ends_where_it_says(run, code):
    """An exit is no error: the later cells do not run."""
    ran = run(f"\nimport sys\n{code}", GOES_ON, allow_errors=True)
    assert (ran.run.outcome, len(ran.run.cells), ran.run.cells[0].allowed) == ("succeeded", 1, None)


def test_a_kernel_that_dies_is_a_failure_whatever_is_allowed(run):
    """What is allowed are exceptions: without a kernel no later cell can run."""
    ran = run(' tags=["raises-exception"]\nimport os; os._exit(1)', GOES_ON, allow_errors=True)
    assert (ran.run.outcome, ran.run.failure.type) == ("failed", "exit")


@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")  # by its kernelspec
def test_a_kernel_that_shows_no_traceback_raises_too(run, tmp_path, monkeypatch):
    """The kernel of bash fails by its reply alone."""
    subprocess.run([sys.executable, "-m", "bash_kernel.install", "--prefix", str(tmp_path / "bash")], check=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "bash/share/jupyter"))
    ran = run(' tags=["raises-exception"]\nfalse', "\necho on", kernel="bash", name="a.sh")
    assert (ran.run.outcome, [bool(each.allowed) for each in ran.run.cells]) == ("succeeded", [True, False])
