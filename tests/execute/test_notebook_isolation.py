"""What one notebook does is seen by no other, and ends with it."""

import gzip
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.notebook_runs import text
from tests.support.project import await_end


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


@pytest.mark.timing
def test_a_process_that_a_cell_left_behind_is_killed(run):
    """Nothing of the kernel's process group survives the run."""
    ran = run("\nimport subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)")
    assert ran.run.outcome == "succeeded"
    await_end(int(text(*ran.outputs)))


@pytest.mark.timing
def test_eight_notebooks_at_once_share_a_zygote(run, runtime):
    """They do not disturb each other, and leave no process, socket or connection file."""
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda n: run(f"\nprint({n})", name=f"n{n}.py"), range(8)))
    assert [text(*each.outputs) for each in runs] == [f"{n}\n" for n in range(8)]
    assert len({each.run.pid for each in runs}) == 8
    for each in runs:
        await_end(each.run.pid)
    assert [name for name in os.listdir(runtime) if name.startswith("k")] == []


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
