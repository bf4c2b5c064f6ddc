"""Functions run in a process of their own, with their parameters as keyword arguments."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from nbmake_dag.execute.process_work import run_function
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import FunctionWork, Printed
from tests.support.attempts import failure_of
from tests.support.project import await_end

_MODULE = """
import functools, os, sys, time
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

class UnreadableError(Exception):
    def __str__(self):
        raise KeyError("text")

def fail_without_text():
    raise UnreadableError

def leave(code):
    sys.exit(code)

def crash():
    print("before")
    os._exit(7)

def plainly(function):
    return functools.wraps(function)(lambda: function())

@plainly
async def later():
    print("later")

@plainly
def one_by_one():
    yield print("one")

@plainly
async def one_by_one_later():
    yield print("one")

def lazily():
    return (print(each) for each in "ab")

def copy(source, target):
    pass

def shut(*, outputs):
    pass

def wrong():
    copy()

def sleep():
    try:
        print("ready")
        time.sleep(100)
    finally:
        print("tidy")
"""


_TOGETHER = 'declared paths come together: give the function a parameter `{kind}`, with `{kind}["{name}"]`'


def _run(project, qualname, *, cancellation=None, emit=None, module="steps.train", **fields):
    project.write("steps/train.py", _MODULE)
    project.write("helper.py", "VALUE = 1")
    project.write("data.txt", "")
    inject = {
        name: fields.pop(name, name[len("inject_") :] in fields) for name in ("inject_inputs", "inject_outputs")
    }
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
    ("fields", "hint"),
    [
        ({}, "parameters of the task are arguments: add `parameters = { size = ... }`"),
        ({"parameters": {"size": 1}}, ""),
    ],
)
def test_a_parameter_that_got_no_argument_is_explained(project, fields, hint):
    """The task gives a function its parameters."""
    failure = _run(project, "train", **fields).failure
    assert (failure.hint if failure else "") == hint


@pytest.mark.parametrize(
    ("qualname", "fields", "hint"),
    [
        ("copy", {"inputs": {"source": "a"}}, _TOGETHER.format(kind="inputs", name="source")),
        (
            "copy",
            {"parameters": {"source": "a"}, "outputs": {"target": "b"}},
            _TOGETHER.format(kind="outputs", name="target"),
        ),
        ("shut", {}, "declare `outputs` of the task"),
        ("wrong", {}, ""),
    ],
)
def test_paths_that_a_function_takes_one_by_one_are_explained(project, qualname, fields, hint):
    """They come in `inputs` and `outputs`; an error within the function has no such hint."""
    run = _run(project, qualname, inject_inputs=False, inject_outputs=False, **fields)
    failure = failure_of(run)
    assert (failure.type, failure.hint) == ("TypeError", hint)


@pytest.mark.parametrize(
    ("qualname", "kind", "hint"),
    [
        ("later", "a coroutine", "make it a `def` that does its work with `asyncio.run(...)`"),
        ("one_by_one", "a generator", "take `yield` out of it, or name a function that iterates over it"),
        ("one_by_one_later", "a generator", "take `yield` out of it, or name a function that iterates over it"),
    ],
)
def test_a_call_that_executes_nothing_says_so(project, qualname, kind, hint):
    """A decorator hides from the planner what a call returns; a warning that it was not awaited adds nothing."""
    run = _run(project, qualname)
    said = f"steps.train:{qualname} returned {kind}, of which nothing was executed: {hint}"
    assert (failure_of(run).type, failure_of(run).message) == ("TypeError", said)
    assert run.log.decode().splitlines()[-1] == f"TypeError: {said}"
    assert "never awaited" not in run.log.decode()
    assert _run(project, "lazily").outcome == "succeeded"


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
        ("steps.train", "fail_without_text", {}, "UnreadableError", "<exception str() failed>"),
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


_FORKED = """
import json, os, signal, subprocess, sys, threading, time, multiprocessing

calls = 0

def square(number):
    return number * number

def tell():
    global calls
    calls += 1
    child = [sys.executable, "-I", "-c", "import os; print(sorted(os.environ.items()))"]
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        squares = pool.map(square, [3])
    umask = os.umask(0)
    os.umask(umask)
    print(json.dumps({
        "calls": calls,
        "environment": sorted(os.environ.items()),
        "of a child": subprocess.run(child, capture_output=True, text=True).stdout,
        "arguments": [sys.argv, sys.orig_argv],
        "path": sys.path,
        "folder": os.getcwd(),
        "flags": str(sys.flags),
        "streams": [(stream.encoding, stream.errors, stream.write_through) for stream in (sys.stdout, sys.stderr)],
        "input": sys.stdin.read(),
        "open": sorted(os.listdir("/dev/fd")),
        "signals": [str(signal.getsignal(number)) for number in signals],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "threads": threading.active_count(),
        "leads": [os.getpid() == os.getsid(0), os.getpid() == os.getpgrp()],
        "umask": umask,
        "squares": squares,
    }))
    os.environ["LEFT"] = "behind"
    os.chdir("/")
    sys.path.append("/left/behind")

def parent():
    print(os.getppid())

def leave():
    if os.fork() == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        time.sleep(1000)
        os._exit(0)
    time.sleep(0.3)

def two_streams():
    print("one")
    print("other", file=sys.stderr)

class Late:
    def __del__(self):
        print("late")

def end_late():
    import atexit
    global late
    late = Late()
    atexit.register(print, "at exit")
    threading.Thread(target=lambda: (time.sleep(0.2), print("of a thread"))).start()
"""


def _call(project, runtime, qualname, **fields):
    """Call a function where a zygote can be had, and nothing of the user's is imported before."""
    project.write("forked.py", _FORKED)
    work = FunctionWork(module="forked", qualname=qualname, inject_inputs=False, inject_outputs=False)
    emit = fields.pop("emit", lambda _: None)
    return run_function(project.spec(work, runtime=runtime, **fields), work, emit, Cancellation())


@pytest.mark.parametrize("language", ["C.UTF-8", ""])
def test_a_fork_is_what_a_python_of_its_own_would_be(project, runtime, monkeypatch, language):
    """Environment, arguments, folder, streams, signals and open files; and nothing is left of the call before."""
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", language)
    # who runs the tests may ignore some, as `nohup` does
    ignored = [number for number in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        found = [_call(project, place, "tell") for place in (runtime, runtime, f"{runtime}/none")]
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
    assert [(run.outcome, run.failure) for run in found] == [("succeeded", None)] * 3
    first, second, alone = (json.loads(run.log) for run in found)
    assert second == first
    assert [(name, first[name], alone[name]) for name in alone if first[name] != alone[name]] == []
    assert alone["calls"] == 1
    assert alone["squares"] == [9]


def test_calls_share_a_zygote(project, runtime):
    """Where none can be had, this process starts a Python for the call."""
    parents = [int(_call(project, place, "parent").log) for place in (runtime, runtime, f"{runtime}/none")]
    assert parents[0] == parents[1] != os.getpid() == parents[2]


def test_a_killed_zygote_is_another_for_the_next_call(project, runtime):
    """What it had begun is lost, and not called again behind the back of whoever asked."""
    zygote = int(_call(project, runtime, "parent").log)
    project.write("slow.py", "import time\ndef wait():\n    print('begun', flush=True)\n    time.sleep(1000)\n")
    work = FunctionWork(module="slow", qualname="wait", inject_inputs=False, inject_outputs=False)
    run = run_function(
        project.spec(work, runtime=runtime), work, lambda _: os.kill(zygote, signal.SIGKILL), Cancellation()
    )
    assert run.outcome == "lost"
    assert run.log.strip() == b"begun"
    assert int(_call(project, runtime, "parent").log) not in {zygote, os.getpid()}


@pytest.mark.timing
def test_a_fork_of_a_function_that_left_the_group_does_not_hold_the_task(project, runtime):
    """Nothing but the pipe that it holds says whose it is."""
    begun = time.monotonic()
    run = _call(project, runtime, "leave")
    assert run.outcome == "succeeded"
    assert time.monotonic() - begun < 50
    await_end(int(run.log))


def test_output_and_errors_are_told_apart(project, runtime):
    """As those of a command."""
    told: list[Printed] = []
    assert _call(project, runtime, "two_streams", emit=told.append).outcome == "succeeded"
    printed = {(event.stream, event.text.strip()) for event in told if event.text.strip()}
    assert printed == {("stderr", "other"), ("stdout", "one")}


def test_a_fork_ends_as_python_does(project, runtime):
    """Its threads, what is to be done at exit, and what the user's modules hold."""
    assert _call(project, runtime, "end_late").log == b"of a thread\nat exit\nlate\n"
