"""Notebooks that go on from a snapshot: what they have, what they leave, and what cannot be resumed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.support.project import await_true
from tests.support.resumable import Resumable

STATE = """\
import decimal, logging, os, random, sys
random.seed(3)
decimal.getcontext().prec = 5
os.environ["MINE"] = "kept"
os.chdir("/")
log = logging.getLogger("mine")
log.addHandler(logging.StreamHandler(sys.stdout))
out, shell = sys.stdout, get_ipython()
lines = open(__file_of_lines__)
first = lines.readline()
handle = display("first", display_id="d")
"""
USE = """\
log.warning("logged")
print(random.random(), decimal.Decimal(1) / 3, os.environ["MINE"], os.getcwd(), first, lines.readline(), file=out)
print(shell is get_ipython(), len(In), {n})
"""


@pytest.fixture
def notebook(tmp_path):
    notebook = Resumable(tmp_path)
    yield notebook
    notebook.close()


def test_a_resumed_notebook_has_all_that_the_cells_before_made(notebook, tmp_path):
    """Values, modules, streams, the shell, open files, seeds, context variables: as in a run from the start."""
    (tmp_path / "lines.txt").write_text("one\ntwo\nthree\n")
    state = STATE.replace("__file_of_lines__", repr(str(tmp_path / "lines.txt")))
    assert len(notebook.run([state, USE.replace("{n}", "1")]).snapshots) == 2
    for number in (2, 3):
        cells = [state, USE.replace("{n}", str(number)), f"'last', {number}"]
        draft = notebook.run(cells)
        assert draft.result.resumed
        assert [cell.cell.index for cell in draft.result.cells] == [1, 2]
        assert draft.shown == notebook.run(cells, resumes=False).shown
    assert draft.shown[1] == "logged\n0.23796462709189137 0.33333 kept / one\n two\n\nTrue 3 3\n"


def test_the_executed_notebook_has_kept_outputs_and_new_ones(notebook):
    """Counts go on, and a display of a kept cell is updated by a new one."""
    cells = ["handle = display('old', display_id='d')", "# a comment", "print(2)"]
    notebook.run(cells)
    draft = notebook.run([*cells[:2], "print(3)\nhandle.update('new')"])
    executed = json.loads(notebook.blobs.read(draft.result.notebook, 1 << 30))["cells"]
    assert [cell["execution_count"] for cell in executed] == [1, 2, 3]
    assert executed[0]["outputs"][0]["data"] == {"text/plain": ["'new'"]}
    assert executed[2]["outputs"][0]["text"] == ["3\n"]


def test_files_and_logged_values_of_kept_cells_are_put_back(notebook, tmp_path):
    """Declared files that were written before a snapshot are as they were then, and so is the log."""
    log = "import nbmake_dag as nbdag\nnbdag.log_metric('m', 1.0)\nnbdag.log_text('old', 'note.txt')"
    write = "open('a.txt', 'w').write('a')"
    cells = [f"{log}\n{write}", "with open('a.txt', 'a') as file: file.write('b')"]
    declared = {"declared_outputs": ("a.txt",)}
    first = notebook.run(cells, **declared)
    assert (tmp_path / "a.txt").read_text() == "ab"
    draft = notebook.run([cells[0], cells[1].replace("'b'", "'c'")], **declared)
    assert (draft.result.resumed, (tmp_path / "a.txt").read_text()) == (True, "ac")
    assert draft.result.logged == first.result.logged
    assert draft.result.logged.metrics == {"m": 1.0}
    assert list(draft.result.logged.artifacts) == ["note.txt"]
    assert draft.result.accesses == first.result.accesses


def test_after_a_failure_a_corrected_cell_goes_on_from_where_it_failed(notebook):
    """What was done before the failing cell is not done again."""
    first = notebook.run(["import os; pid = os.getpid()", "print(unknown)", "print('end')"])
    assert (first.result.outcome, len(first.snapshots)) == ("failed", 1)
    draft = notebook.run(["import os; pid = os.getpid()", "print(pid != os.getpid())", "print('end')"])
    assert (draft.result.outcome, draft.result.resumed, draft.shown) == (
        "succeeded",
        True,
        ["", "True\n", "end\n"],
    )


def test_a_notebook_goes_on_from_snapshots_of_resumed_ones(notebook):
    """Each generation begins where the one before was, and none has more open files than the one before."""
    cells = ["x = [0]"]
    ran = notebook.run(cells)
    for _ in range(5):
        cells.append("x.append(len(x)); import os; print(x, len(os.listdir('/proc/self/fd')))")
        ran = notebook.run(cells)
        assert (ran.result.resumed, len(ran.result.cells)) == (True, 1)
    lists, files = zip(*(shown.rsplit(" ", 1) for shown in ran.shown[1:]), strict=True)
    assert lists == tuple(str(list(range(number + 1))) for number in range(1, 6))
    assert int(files[-1]) <= int(files[1])


@pytest.mark.fault
def test_a_snapshot_that_was_killed_is_done_without(notebook):
    """The notebook runs from the start, says why, and has the same result."""
    cells = ["print(1)", "print(2)"]
    notebook.run(cells)
    for taken in notebook.snapshots:
        os.kill(taken.pid, signal.SIGKILL)
        await_true(lambda: not psutil.pid_exists(taken.pid) or _is_zombie(taken.pid), 60, "it lives")  # noqa: B023
    draft = notebook.run([*cells, "print(3)"])
    assert (draft.result.resumed, draft.shown) == (False, ["1\n", "2\n", "3\n"])
    assert draft.reasons == ["its snapshot cannot be used: the snapshot is gone"]


@pytest.mark.timing
def test_snapshots_end_with_their_folder(notebook):
    """Neither their process nor one that they started is left."""
    notebook.run(["x = 1", "x"])
    pids = [taken.pid for taken in notebook.snapshots]
    assert all(psutil.pid_exists(pid) for pid in pids)
    notebook.forget()
    await_true(lambda: all(not psutil.pid_exists(pid) or _is_zombie(pid) for pid in pids), 60, f"{pids} live")


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


OBSTACLES = {
    "the thread 'mine'": (
        "import threading\nevent = threading.Event()\n"
        "threading.Thread(target=event.wait, name='mine', daemon=True).start()"
    ),
    "the child process": "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])",
    "an open socket": "import socket\nserver = socket.create_server(('127.0.0.1', 0))",
    "an open socket to 127.0.0.1:": (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname()); accepted, _ = server.accept(); server.close()"
    ),
    "an open pipe": "import os\nends = os.pipe()",
    "written.txt, open for writing": "file = open('written.txt', 'w')",
    "db.sqlite, open for writing": (
        "import sqlite3\nconnection = sqlite3.connect('db.sqlite'); connection.execute('create table t (x)')"
    ),
    "memory that is shared": "import mmap\nshared = mmap.mmap(-1, 4096)",
    "an asyncio task": "import asyncio\ntask = asyncio.get_event_loop().create_task(asyncio.sleep(1000))",
    "the open device /dev/ptmx": "import os\nmaster = os.open('/dev/ptmx', os.O_RDWR)",
    "an open descriptor of inotify": "import ctypes\nwatch = ctypes.CDLL(None).inotify_init()",
    "1 thread of compiled code": (
        "import ctypes, threading\nlibc = ctypes.CDLL(None)\nnumber = ctypes.c_ulong()\n"
        "libc.pthread_create(ctypes.byref(number), None, ctypes.cast(libc.pause, ctypes.c_void_p), None)"
    ),
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_what_does_not_survive_a_fork_is_recognised(notebook, reason):
    """No snapshot is taken while it is there, and what it is is said; the notebook itself is left in peace."""
    ran = notebook.run(["x = 1", OBSTACLES[reason], "print(x)"])
    assert len(ran.snapshots) == 1
    assert len(ran.reasons) == 2
    assert all(reason in each for each in ran.reasons), ran.reasons
    assert ran.shown[2] == "1\n"


def test_cuda_is_recognised_by_its_device(tmp_path):
    """An open device of NVIDIA's is a context that no fork can use."""
    from nbmake_dag.inside.obstacles import describe_device

    assert describe_device("/dev/nvidia0") == "a CUDA context (/dev/nvidia0)"
    assert describe_device("/dev/kvm") == "the open device /dev/kvm"


def test_snapshots_are_taken_again_when_an_obstacle_is_gone(notebook):
    """It is asked after each cell."""
    ran = notebook.run(["file = open('f', 'w')", "file.close()"])
    assert (len(ran.reasons), len(ran.snapshots)) == (1, 1)


def test_without_memory_for_a_fork_the_notebook_goes_on(notebook):
    """Nothing but the snapshot is missed."""
    refusal = "import os\ndef refuse(): raise OSError(12, 'no memory')\nos.fork = refuse"
    ran = notebook.run([refusal, "print(1)"])
    assert (ran.result.outcome, ran.shown[-1], ran.snapshots) == ("succeeded", "1\n", [])
    assert ran.reasons[0] == "it cannot be forked: no memory"


def test_a_kernel_that_starts_fresh_is_not_forked(notebook):
    """That is said, and nothing is tried."""
    ran = notebook.run(["x = 1", "x"], start="fresh")
    assert (ran.result.outcome, ran.snapshots) == ("succeeded", [])
    assert ran.reasons == ["its kernel is not a Python kernel that starts warm"]


def test_threads_that_a_library_ends_before_a_fork_are_no_obstacle(notebook: Resumable, tmp_path: Path):
    """NumPy's threads come and go by themselves."""
    cells = ["import numpy\na = numpy.ones((400, 400)); b = a @ a", "print((b @ a)[0, 0])"]
    ran = notebook.run(cells)
    assert (ran.reasons, len(ran.snapshots)) == ([], 2)
    draft = notebook.run([cells[0], "print((a @ b)[0, 0])"])
    assert (draft.result.resumed, draft.shown[1]) == (True, "160000.0\n")


@pytest.mark.parametrize(
    ("leak", "reason"),
    [
        ("print(pw)", "what it logged or printed holds the value of API_PW"),
        (
            "import nbmake_dag as nbdag; nbdag.log_param('pw', pw)",
            "what it logged or printed holds the value of API_PW",
        ),
        (
            "import nbmake_dag as nbdag; nbdag.log_text(pw, 'a.txt')",
            "what it logged or printed holds the value of API_PW",
        ),
        ("open('a.txt', 'w').write(pw)", "a.txt holds the value of API_PW"),
        ("used = len(pw)", None),
    ],
)
def test_a_snapshot_keeps_no_secret(notebook: Resumable, tmp_path: Path, leak: str, reason: str | None):
    """What it would keep is searched before it is stored."""
    secret = "canary-7c1f'9d"
    env = {**os.environ, "NBDAG_ROOT": str(tmp_path), "NBDAG_REPOSITORY": str(tmp_path), "API_PW": secret}
    cells = ["import os; pw = os.environ['API_PW']", leak, "print(1)"]
    ran = notebook.run(cells, env=env, secrets=("API_PW",), declared_outputs=("a.txt",))
    assert set(ran.reasons) == ({reason} if reason else set())
    places = [tmp_path / ".nbdag", Path(notebook.attempts), Path(notebook.runtime)]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
