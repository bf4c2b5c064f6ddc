"""Functions run in a process of their own, with their parameters as keyword arguments."""

from __future__ import annotations

import pytest

from nbmake_dag.execute.process_work import run_function
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import FunctionWork
from tests.support.attempts import failure_of

_MODULE = """
import os, sys, time
import nbmake_dag as nbdag
import helper

def train(*, size, rates=(), inputs=None, outputs=None):
    print(size, rates, inputs, outputs, helper.VALUE, sys.argv, sys.path[0] == os.environ["NBDAG_ROOT"])
    nbdag.log_metric("size", size)
    open("data.txt").read()
    return object()

class Steps:
    @staticmethod
    def one():
        print("one")

def fail():
    raise ValueError("bad value")

def leave(code):
    sys.exit(code)

def crash():
    print("before")
    os._exit(7)

def sleep():
    try:
        print("ready")
        time.sleep(100)
    finally:
        print("tidy")
"""


def _run(project, qualname, *, cancellation=None, emit=None, module="steps.train", **fields):
    project.write("steps/train.py", _MODULE)
    project.write("helper.py", "VALUE = 1")
    project.write("data.txt", "")
    inject = {name: name[len("inject_") :] in fields for name in ("inject_inputs", "inject_outputs")}
    work = FunctionWork(module=module, qualname=qualname, **inject)
    spec = project.spec(work, **fields)
    return run_function(spec, work, emit or (lambda _: None), cancellation or Cancellation())


def test_a_function_gets_its_parameters_and_what_it_returns_is_ignored(project):
    """Its output is its log; its values, its modules and its files are noted as a notebook's are."""
    run = _run(project, "train", parameters={"size": 3, "rates": [0.1, float("inf")]})
    assert (run.outcome, run.failure) == ("succeeded", None)
    assert run.log == b"3 [0.1, inf] None None 1 ['steps.train:train'] True\n"
    assert project.folded().logged.metrics == {"size": 3.0}
    assert project.folded().modules == ("helper.py", "steps/train.py")
    assert [(access.path, access.mode) for access in project.accesses()] == [("data.txt", "read")]


def test_a_function_that_names_them_gets_inputs_and_outputs(project):
    """As they were declared: by name, or as a list."""
    run = _run(project, "train", parameters={"size": 1}, inputs={"a": ["x", "y"]}, outputs=["z"])
    assert run.log.startswith(b"1 () {'a': ['x', 'y']} ['z'] ")


def test_a_qualified_name_leads_into_a_class(project):
    """``module:Class.method``."""
    assert _run(project, "Steps.one").log == b"one\n"


def test_an_exception_fails_with_a_traceback_that_begins_in_the_users_code(project):
    """Frames of nbdag are nobody's concern."""
    run = _run(project, "fail")
    file = project.root / "steps" / "train.py"
    traceback = (
        "Traceback (most recent call last):\n"
        f'  File "{file}", line 18, in fail\n'
        '    raise ValueError("bad value")\n'
        "ValueError: bad value\n"
    )
    assert run.outcome == "failed"
    assert (failure_of(run).type, failure_of(run).message, failure_of(run).line) == ("ValueError", "bad value", 18)
    assert failure_of(run).traceback == traceback
    assert run.log.decode() == traceback


@pytest.mark.parametrize(
    ("module", "qualname", "fields", "kind", "message"),
    [
        ("steps.none", "train", {}, "ModuleNotFoundError", "No module named 'steps.none'"),
        ("steps.train", "none", {}, "AttributeError", "module 'steps.train' has no attribute 'none'"),
        (
            "steps.train",
            "fail",
            {"parameters": {"x": 1}},
            "TypeError",
            "fail() got an unexpected keyword argument 'x'",
        ),
        ("steps.train", "leave", {"parameters": {"code": "why"}}, "SystemExit", "why"),
        ("steps.train", "leave", {"parameters": {"code": 2}}, "SystemExit", "2"),
        ("steps.train", "crash", {}, "exit", "exit status 7"),
    ],
)
def test_every_way_to_fail_is_told(project, module, qualname, fields, kind, message):
    """Also those that leave no exception."""
    run = _run(project, qualname, module=module, **fields)
    assert (run.outcome, failure_of(run).type, failure_of(run).message) == ("failed", kind, message)


@pytest.mark.parametrize("code", [0, None])
def test_leaving_with_no_error_is_success(project, code):
    """As for any program."""
    assert _run(project, "leave", parameters={"code": code}).outcome == "succeeded"


def test_a_cancelled_function_is_interrupted(project):
    """``finally`` runs."""
    cancellation = Cancellation()
    run = _run(project, "sleep", cancellation=cancellation, emit=lambda _: cancellation.request(30))
    assert run.outcome == "cancelled"
    assert b"tidy\n" in run.log


@pytest.mark.timing
def test_a_function_that_takes_too_long_is_a_timeout(project):
    """Whatever its exception was."""
    run = _run(project, "sleep", timeout=1.0)
    assert (run.outcome, failure_of(run).type) == ("timeout", "timeout")


def test_modules_next_to_the_work_cannot_replace_our_own(project):
    """A file named like a module of the standard library is the user's matter, not the end of the call."""
    project.write("json.py", "raise RuntimeError('not the real one')")
    assert _run(project, "Steps.one").log == b"one\n"
