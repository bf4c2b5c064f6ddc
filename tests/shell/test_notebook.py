"""Running one notebook: real kernels, and all that a notebook can do to them."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from nbmake_dag.execute.cancellation import Cancellation
from nbmake_dag.execute.notebook import run_notebook
from nbmake_dag.execute.protocol import AttemptSpec, CellEnded, CellStarted, NotebookWork, Printed
from tests.project import await_end


@pytest.fixture(scope="module")
def runtime():
    """Make a short private directory; its zygotes end with it."""
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def run(tmp_path, runtime):
    """Run cells, given as text, in a notebook; the result has the run, its events and its executed cells."""

    def run(
        *cells, name="a.py", kernel="python3", start="warm", cancellation=None, env=None, emit=None, **options
    ):
        work = NotebookWork(
            path=name,
            kernel=kernel,
            start=start,
            counted=frozenset(range(len(cells) or 9)),
            preload=options.pop("preload", ()),
            inject_inputs=options.pop("inject_inputs", False),
            inject_outputs=options.pop("inject_outputs", False),
        )
        if cells:
            (tmp_path / name).write_text("\n\n".join(f"# %%{cell}" for cell in cells))
        scratch = tempfile.mkdtemp(dir=tmp_path)
        fields = {"parameters": {}, "inputs": {}, "outputs": {}, **options}
        spec = AttemptSpec(
            run_id="r",
            task="t",
            attempt=1,
            root=str(tmp_path),
            repository=str(tmp_path),
            workdir=".",
            work=work,
            declared_outputs=(),
            env={**os.environ, **(env or {})},
            blobs="",
            scratch=scratch,
            runtime=runtime,
            **fields,
        )
        events = []

        def hear(event):
            events.append(event)
            if emit:
                emit(event)

        result = run_notebook(spec, hear, cancellation or Cancellation())
        executed = json.loads(result.notebook)["cells"] if result.notebook else []
        return SimpleNamespace(run=result, events=events, cells=executed, outputs=json.loads(result.cell_outputs))

    return run


def text(*outputs):
    """Join what cells printed."""
    return "".join("".join(each.get("text", "")) for cell in outputs for each in cell["outputs"])


def test_outputs_are_kept_for_every_cell_that_counts(run):
    """Each counted cell has its outputs and its count, and the executed notebook has the same."""
    ran = run("\nx = 20", " [markdown]\n# title", "\nprint(x)\nx + 1")
    expected = [
        {"outputs": [], "execution_count": 1},
        {"outputs": [], "execution_count": None},
        {
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "20\n"},
                {
                    "output_type": "execute_result",
                    "metadata": {},
                    "data": {"text/plain": "21"},
                    "execution_count": 2,
                },
            ],
            "execution_count": 2,
        },
    ]
    assert (ran.run.outcome, ran.run.failure, ran.run.exit_code, ran.outputs) == ("succeeded", None, 0, expected)
    assert [cell["cell_type"] for cell in ran.cells] == ["code", "markdown", "code"]


def test_events_tell_of_every_cell_while_it_runs(run):
    """Cells begin and end in order, and what they print comes between."""
    ran = run("\nx = 1", " [markdown]\ntext", "\n\n# begin\nprint('hello')")
    told = [
        (type(event).__name__, getattr(event, "index", None), getattr(event, "text", None)) for event in ran.events
    ]
    assert told == [
        ("CellStarted", 0, None),
        ("CellEnded", 0, None),
        ("CellStarted", 2, None),
        ("Printed", None, "hello\n"),
        ("CellEnded", 2, None),
    ]
    first, last = [event for event in ran.events if isinstance(event, CellStarted)]
    assert (first.position, first.total, last.position, last.first_line) == (1, 2, 2, "# begin")
    assert [run.index for run in ran.run.cells] == [0, 2]


def test_parameters_are_assigned_after_the_parameters_cell(run):
    """Every value arrives with its type, in a cell of which nothing is reported."""
    values = {"a": 'x"\\\n', "b": 1.0, "c": True, "d": None, "e": [1, {"k": "v"}], "f": float("inf")}
    ran = run(' tags=["parameters"]\na = 0', "\nprint([a, b, c, d, e, f])", parameters=values)
    assert text(*ran.outputs) == str(list(values.values())) + "\n"
    assert [cell["id"] for cell in ran.cells] == ["cell-0", "injected-parameters", "cell-1"]
    assert [event.index for event in ran.events if isinstance(event, CellEnded)] == [0, 1]


def test_inputs_and_outputs_are_assigned_where_the_notebook_takes_them(run):
    """Declared paths arrive with the parameters."""
    ran = run(
        "\nprint(inputs, outputs)",
        inputs={"a": "x.csv", "b": ["1", "2"]},
        outputs=["y"],
        inject_inputs=True,
        inject_outputs=True,
    )
    assert text(*ran.outputs) == "{'a': 'x.csv', 'b': ['1', '2']} ['y']\n"


@pytest.mark.parametrize(
    "parameters",
    [{"a; import os": 1}, {"class": 1}, {"a": {1: 2}}, {"a": b"x"}, {"a": "\ud800"}, {"é": 1}, {"a": {"b": {1}}}],
)
def test_parameters_that_have_no_safe_spelling_are_refused(run, parameters):
    """A name or value that could become other code fails the notebook before any cell."""
    ran = run("\nx = 1", parameters=parameters)
    assert (ran.run.outcome, ran.run.failure.type, ran.run.cells) == ("failed", "ParameterError", ())


def test_a_raising_cell_fails_and_says_where(run):
    """The failure names cell, line, exception; the cells after it are not executed."""
    ran = run("\nx = 1", "\ny = 2\n1 / 0", "\nprint('never')", parameters={"p": 1})
    failure = ran.run.failure
    assert (ran.run.outcome, failure.type, failure.message) == ("failed", "ZeroDivisionError", "division by zero")
    assert (failure.cell, failure.cell_source, failure.line) == (1, "y = 2\n1 / 0", 2)
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
        ("import sys; sys.exit(0)", "SystemExit", "0"),
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
    assert (ran.run.outcome, failure.type, failure.cell) == ("failed", type_, 1)
    assert failure.message.startswith(message)
    assert text(ran.outputs[0]) == "before\n"
    assert ran.outputs[1]["outputs"] != []


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


def test_a_notebook_that_takes_too_long_is_interrupted(run, monkeypatch):
    """The deadline counts from the kernel being ready; what was done so far is kept, and exit handlers run."""
    for name in ("TIMEOUT_GRACE", "STOPPED_EXIT_TIMEOUT"):
        monkeypatch.setattr(f"nbmake_dag.execute.notebook.{name}", 60.0)
    ran = run(
        "\nimport atexit, time\natexit.register(lambda: open('atexit', 'w'))\nprint('so far')",
        "\nwhile True: time.sleep(.01)",
        "\nprint('never')",
        timeout=2.0,
    )
    assert (ran.run.outcome, ran.run.failure.type, ran.run.failure.cell) == ("timeout", "timeout", 1)
    assert ran.run.failure.message == "took longer than 2 s"
    assert text(ran.outputs[0]) == "so far\n"
    assert ran.outputs[1]["outputs"][0]["ename"] == "KeyboardInterrupt"
    assert ran.run.exit_code == 0


@pytest.mark.parametrize(
    "code",
    [
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    ],
)
def test_a_notebook_that_does_not_hear_is_killed(run, monkeypatch, code):
    """A kernel that ignores the interrupt, or is stopped, ends all the same."""
    monkeypatch.setattr("nbmake_dag.execute.notebook.TIMEOUT_GRACE", 0.5)
    ran = run(f"\n{code}", timeout=2)
    assert (ran.run.outcome, ran.run.exit_code) == ("timeout", -signal.SIGKILL)
    assert ran.outputs[0]["outputs"][-1]["ename"] == "KernelError"


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


def test_nothing_of_one_notebook_is_visible_to_another(run, tmp_path):
    """Names, modules, environment, directory, signals, random numbers: every kernel begins anew."""
    look = (
        "\nimport builtins, os, random, signal, sys\n"
        "state = (sorted(set(sys.modules) & {'left', 'numpy'}), hasattr(builtins, 'left'), 'x' in globals(),"
        " os.environ.get('LEFT'), os.getcwd(), signal.getsignal(signal.SIGTERM), sys.argv[1:2],"
        " os.environ.get('MINE'), signal.pthread_sigmask(0, []), signal.getsignal(signal.SIGCHLD))\n"
        "print(state)\nprint(random.random())"
    )
    spoil = (
        "\nimport builtins, os, random, signal, sys, types\nx = 1\n"
        "sys.modules['left'] = types.ModuleType('left')\nbuiltins.left = 1\nos.environ['LEFT'] = '1'\n"
        "os.chdir('/')\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nrandom.seed(1)"
    )
    first = run(look, spoil, env={"MINE": "1"})
    second = run(look, env={"MINE": "2"})
    (state, number), (state_2, number_2) = (text(each.outputs[0]).splitlines() for each in (first, second))
    default = signal.SIG_DFL
    assert state == str(([], False, False, None, str(tmp_path), default, ["-f"], "1", set(), default))
    assert state_2 == state.replace("'1'", "'2'")
    assert number != number_2


def test_preloaded_modules_work_as_if_they_were_imported_now(run):
    """Random numbers differ between kernels, the backend of figures is the notebook's, the environment its own."""
    code = "\nimport sys\nprint('numpy' in sys.modules)\nimport numpy\nprint(numpy.random.rand())"
    figure = "\nimport matplotlib.pyplot as plt\nprint(plt.get_backend())\nplt.plot([1, 2]);"
    first, second = (run(code, figure, preload=("numpy", "matplotlib.pyplot", "nowhere")) for _ in range(2))
    assert text(first.outputs[0]).startswith("True\n")
    assert text(first.outputs[0]) != text(second.outputs[0])
    assert "inline" in text(first.outputs[1])
    assert "image/png" in first.outputs[1]["outputs"][-1]["data"]


def test_threads_and_subprocesses_and_figures_work_in_a_forked_kernel(run):
    """What commonly breaks after a fork does not."""
    ran = run(
        "\nfrom concurrent.futures import ThreadPoolExecutor as Pool\nprint(list(Pool(2).map(abs, [-1, -2])))",
        "\nimport subprocess\nprint(subprocess.run(['echo', 'hi'], capture_output=True, text=True).stdout)",
        "\n!echo shell",
        "\nimport asyncio\nawait asyncio.sleep(0)\nprint('awaited')",
        "\nimport matplotlib.pyplot as plt\nprint(plt.get_backend())\nplt.plot([1, 2]);",
    )
    assert ran.run.failure is None
    assert [text(cell).strip() for cell in ran.outputs[:4]] == ["[1, 2]", "hi", "shell", "awaited"]
    assert "inline" in text(ran.outputs[4])
    assert "image/png" in ran.outputs[4]["outputs"][-1]["data"]


def test_a_process_that_a_cell_left_behind_is_killed(run):
    """Nothing of the kernel's process group survives the run."""
    ran = run("\nimport subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)")
    assert ran.run.outcome == "succeeded"
    await_end(int(text(*ran.outputs)))


def test_outputs_are_shown_as_they_end(run):
    """Progress bars, cleared outputs and updated displays leave their last state."""
    ran = run(
        "\nfor i in range(3): print(f'\\r{i} %', end='', flush=True)\nprint()",
        "\nfrom IPython.display import clear_output\nprint('old')\nclear_output(wait=True)\nprint('new')",
        "\nfrom IPython.display import display\nd = display('one', display_id=True)\nd.update('two')",
    )
    assert [text(cell) for cell in ran.outputs[:2]] == ["2 %\n", "new\n"]
    assert [each["data"]["text/plain"] for each in ran.outputs[2]["outputs"]] == ["'two'"]


def test_what_is_too_much_is_cut_and_said(run):
    """A notebook stays one that can be opened, and the run goes on."""
    ran = run(
        "\nfor _ in range(40): print('x' * 99_999)",
        "\nfrom IPython.display import HTML\ndisplay(HTML('x' * (17 << 20)))\nprint('on')",
    )
    printed = text(ran.outputs[0])
    assert len(printed) < 1.01 * (1 << 20)
    assert printed.endswith("\n[nbdag left out more text: the limit is 1 MiB]\n")
    assert text(ran.outputs[1]).strip() == "[nbdag left out an output of 17408 KiB: the limit is 16 MiB]\non"
    assert sum(len(event.text) for event in ran.events if isinstance(event, Printed)) < 1.01 * (1 << 20)
    assert max(len(event.text) for event in ran.events if isinstance(event, Printed)) <= 1 << 14


@pytest.mark.slow
def test_a_storm_of_displays_loses_nothing_but_what_is_said(run):
    """Messages that come faster than they are read are not dropped."""
    ran = run("\nfrom IPython.display import display\nfor i in range(5_000): display(i)", "\nprint('on')")
    assert ran.run.failure is None
    shown = [each["data"]["text/plain"] for each in ran.outputs[0]["outputs"]]
    assert shown == [str(number) for number in range(5_000)]


def test_an_unknown_kernel_is_named_with_those_that_exist(run):
    """The failure can be acted on."""
    ran = run("\nx = 1", kernel="nope")
    assert (ran.run.outcome, ran.run.failure.type) == ("failed", "NoSuchKernel")
    assert ran.run.failure.message.startswith("there is no kernel 'nope'; known: ")
    assert "python3" in ran.run.failure.message


def test_a_notebook_that_cannot_be_read_is_a_failure(run, tmp_path):
    """So is one that is missing."""
    (tmp_path / "a.ipynb").write_text("{")
    assert run(name="a.ipynb").run.failure.type == "UnreadableNotebookError"
    assert run(name="none.py").run.failure.type == "FileNotFoundError"


@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")  # by its kernelspec
def test_bash_notebooks_run(run, tmp_path, monkeypatch):
    """A kernel of another language is started by its kernelspec, with parameters in its language."""
    subprocess.run([sys.executable, "-m", "bash_kernel.install", "--prefix", str(tmp_path / "bash")], check=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "bash" / "share" / "jupyter"))
    cells = ["", "echo $name"]
    nb = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "bash", "display_name": "Bash", "language": "bash"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{i}",
                "metadata": {},
                "source": c,
                "outputs": [],
                "execution_count": None,
            }
            for i, c in enumerate(cells)
        ],
    }
    (tmp_path / "a.ipynb").write_text(json.dumps(nb))
    ran = run(name="a.ipynb", kernel="bash", parameters={"name": "it's"})
    assert ran.run.failure is None
    assert "".join(ran.cells[2]["outputs"][0]["text"]) == "it's\n"


def test_eight_notebooks_at_once_share_a_zygote(run, runtime):
    """They do not disturb each other, and leave no process, socket or connection file."""
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda n: run(f"\nprint({n})", name=f"n{n}.py"), range(8)))
    assert [text(*each.outputs) for each in runs] == [f"{n}\n" for n in range(8)]
    assert len({each.run.pid for each in runs}) == 8
    for each in runs:
        await_end(each.run.pid)
    assert [name for name in os.listdir(runtime) if name.startswith("k")] == []


def test_the_process_is_prepared_for_its_task(run, tmp_path):
    """Local modules are found from the root and beside the notebook, and what was opened is noted."""
    for folder, name in ((tmp_path, "at_root"), (tmp_path / "sub", "beside")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text("")
    (tmp_path / "data.txt").write_text("1")
    (tmp_path / "sub" / "n.py").write_text("# %%\nimport at_root, beside\nprint(open('data.txt').read(), dir())")
    names = {"NBDAG_ROOT": "", "NBDAG_REPOSITORY": "", "NBDAG_ACCESS": "/access", "NBDAG_LOG": "/log"}
    ran = run(name="sub/n.py", env={name: f"{tmp_path}{path}" for name, path in names.items()})
    assert ran.run.failure is None
    assert text(*ran.outputs).startswith("1 ['In', 'Out', '_', '__',")
    assert "_start" not in text(*ran.outputs)
    assert [json.loads(line)["path"] for line in (tmp_path / "access").read_text().splitlines()] != []
    modules = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert modules == [{"kind": "modules", "paths": ["at_root.py", "sub/beside.py"]}]


def test_what_it_cost_is_measured(run):
    """CPU time and the largest memory of all processes are known."""
    ran = run(
        "\nimport time\ndata = bytearray(200_000_000)\nend = time.process_time() + .3\n"
        "while time.process_time() < end: pass"
    )
    assert ran.run.cpu_s > 0.3
    assert ran.run.peak_rss > 200_000_000


@pytest.fixture
def watched(tmp_path):
    """Give the environment of a notebook that is seen to use local modules."""
    return {
        "NBDAG_REPOSITORY": str(tmp_path),
        "NBDAG_ROOT": str(tmp_path),
        "NBDAG_ACCESS": str(tmp_path / "access.jsonl"),
        "NBDAG_LOG": str(tmp_path / "log.jsonl"),
        "PYTHONPATH": str(tmp_path),
    }


def test_a_preloaded_module_of_the_repository_is_what_it_is_now(run, watched, tmp_path):
    """The process that kernels are forked from imported it before it was edited."""
    for value in ("1", "2"):
        (tmp_path / "edited.py").write_text(f"VALUE = {value}\n")
        ran = run("\nimport edited\nprint(edited.VALUE)", env=watched, preload=("edited",))
        assert text(*ran.outputs) == f"{value}\n"


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_a_file_that_a_local_module_holds_is_complete(run, watched, tmp_path, start):
    """What is written at its end belongs to it."""
    (tmp_path / "store.py").write_text(f"import gzip\nout = gzip.open('{tmp_path}/out.gz', 'wt')\n")
    ran = run("\nimport store\nstore.out.write('all of it')", env=watched, start=start)
    assert ran.run.outcome == "succeeded"
    with gzip.open(tmp_path / "out.gz", "rt") as file:
        assert file.read() == "all of it"


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_what_one_notebook_stores_no_other_sees(run, start):
    """Not even by IPython's own means; within one notebook they work."""
    own = run("\nx = 42\n%store x", "\ndel x\n%store -r x\nprint(x)", start=start)
    assert "42" in text(*own.outputs)
    other = run("\n%store -r x", start=start)
    assert "no stored variable" in text(*other.outputs)
