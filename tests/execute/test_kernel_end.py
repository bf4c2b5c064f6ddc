"""The end of a kernel: a warm one leaves what a fresh one does."""

import os
import sqlite3
import textwrap
import threading

import pytest

from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import Printed

C_STDIO = """
import ctypes
c = ctypes.CDLL(None)
c.fopen.restype = ctypes.c_void_p
c.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
c.fputs(b"hello" * 10, c.fopen(b"c.txt", b"w"))
"""

CASES: dict[str, tuple[str, dict[str, bytes | None]]] = {
    "a database that a library holds": (
        """
        import logging, sqlite3
        con = sqlite3.connect("sql.db")
        con.execute("pragma journal_mode=wal")
        con.execute("create table t(a)")
        con.executemany("insert into t values(?)", [(i,) for i in range(1000)])
        con.commit()
        logging.keep = con
        del con
        """,
        {"sql.db": None},
    ),
    "a stream of C": (C_STDIO, {"c.txt": b"hello" * 10}),
    "an exit handler of C": (
        """
        import ctypes
        open("gone", "w").close()
        open("before", "w").write("1")
        c = ctypes.CDLL(None)
        c.strdup.restype = ctypes.c_void_p
        c.__cxa_atexit(c.unlink, ctypes.c_void_p(c.strdup(b"gone")), None)
        """,
        {"before": b"1"},
    ),
    "exit handlers in their order": (
        """
        import atexit
        for n in range(3):
            atexit.register(lambda n=n: open("order", "a").write(str(n)))
        """,
        {"order": b"210"},
    ),
    "handlers of logging": (
        """
        import logging, logging.handlers
        handler = logging.handlers.MemoryHandler(100, target=logging.FileHandler("log.txt"))
        logging.getLogger("a").addHandler(handler)
        logging.getLogger("a").warning("remembered")
        """,
        {"log.txt": b"remembered\n"},
    ),
    "temporary files": (
        """
        import logging, tempfile
        logging.folder = tempfile.TemporaryDirectory(dir=".")
        logging.file = tempfile.NamedTemporaryFile(dir=".")
        folder, file = tempfile.TemporaryDirectory(dir="."), tempfile.NamedTemporaryFile(dir=".")
        """,
        {},
    ),
    "a manager of multiprocessing": (
        """
        import multiprocessing, multiprocessing.util
        manager = multiprocessing.Manager()
        shared = manager.dict(a=1)
        write = lambda: open("shared", "w").write(str(dict(shared)))
        multiprocessing.util.Finalize(None, write, exitpriority=10)
        """,
        {"shared": b"{'a': 1}"},
    ),
    "a pool with pending work": (
        """
        import time
        from concurrent.futures import ThreadPoolExecutor
        def work(n):
            time.sleep(0.02)
            open("work", "a").write(str(n))
        pool = ThreadPoolExecutor(1)
        for n in range(5):
            pool.submit(work, n)
        """,
        {"work": b"01234"},
    ),
    "a figure that is saved at the end": (
        """
        import atexit
        import matplotlib.pyplot as plt
        plt.plot([1, 2])
        atexit.register(plt.savefig, "figure.svg", metadata={"Date": None})
        import matplotlib
        matplotlib.rcParams["svg.hashsalt"] = "1"
        """,
        {"figure.svg": None},
    ),
    "an index that is written by a destructor": (
        """
        import dbm.dumb, logging, shelve
        logging.shelf = shelve.Shelf(dbm.dumb.open("shelf"), writeback=True)
        logging.shelf["a"] = [1]
        logging.shelf["a"].append(2)
        """,
        {"shelf.bak": None, "shelf.dat": None, "shelf.dir": b"'a', (0, 20)\n"},
    ),
    "what classes, functions and registries of libraries hold": (
        """
        import copyreg, json, logging, traceback
        class Last:
            def __init__(self, name):
                self.file = open(name, "w")
            def __del__(self):
                self.file.write("1")
                self.file.close()
        logging.Logger.keep = Last("class")
        json.dumps.keep = Last("function")
        copyreg.dispatch_table["keep"] = Last("registry")
        logging.getLogger("a").keep = Last("instance")
        traceback.TracebackException.keep = [Last("list")]
        """,
        dict.fromkeys(["class", "function", "registry", "instance", "list"], b"1"),
    ),
    "finalizers of the notebook's own": (
        """
        import weakref
        class Last:
            def __init__(self, name):
                self.name = name
            def __del__(self):
                open(self.name, "w").write("1")
        class Cycle(Last):
            def __del__(self):
                open(self.name, "w").write(helper())
        def helper():
            return "1"
        last, cycle = Last("last"), Cycle("cycle")
        cycle.itself = cycle
        del cycle
        weakref.finalize(last, lambda: open("finalized", "w").write("1"))
        """,
        {"last": b"1", "cycle": b"1", "finalized": b"1"},
    ),
    "an array in a file": (
        """
        import logging
        import numpy
        logging.array = numpy.lib.format.open_memmap("a.npy", "w+", "u1", (3,))
        logging.array[:] = 7
        """,
        {"a.npy": None},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_warm_kernel_leaves_what_a_fresh_one_does(run, tmp_path, case):
    """The same files with the same bytes, whoever holds what still has to be written."""
    cell, expected = CASES[case]
    left = {}
    for start in ("warm", "fresh"):
        folder = tmp_path / start
        folder.mkdir()
        ran = run("\n" + textwrap.dedent(cell).strip(), start=start, root=folder)
        assert (ran.run.failure, ran.run.exit_code) == (None, 0)
        left[start] = contents(folder)
    assert left["warm"] == left["fresh"]
    assert set(expected) == set(left["warm"])
    assert {name: left["warm"][name] for name, content in expected.items() if content is not None} == {
        name: content for name, content in expected.items() if content is not None
    }


def test_a_database_is_complete_at_the_end_of_a_warm_kernel(run, tmp_path):
    """Its tables are in the file that is declared, not in a log beside it."""
    run("\n" + textwrap.dedent(CASES["a database that a library holds"][0]).strip())
    with sqlite3.connect(tmp_path / "sql.db") as connection:
        assert connection.execute("select count(*) from t").fetchall() == [(1000,)]
    connection.close()
    assert os.path.getsize(tmp_path / "sql.db") == 20480


def test_what_a_stream_of_c_holds_before_a_fork_is_written_once(run, tmp_path):
    """A module that is imported before forking writes to it; the kernels that are forked do not write it again."""
    path = tmp_path / "buffered.txt"
    (tmp_path / "buffered.py").write_text(C_STDIO.replace('b"c.txt"', repr(os.fsencode(path))))
    for _ in range(2):
        ran = run("\nimport buffered", env={"PYTHONPATH": str(tmp_path)}, preload=("buffered",))
        assert ran.run.failure is None
    assert path.read_text() == "hello" * 10


def test_a_cancelled_notebook_is_finalized(run, tmp_path):
    """An interrupt ends its cell; what C and Python hold is written all the same."""
    cancellation = Cancellation()

    def cancel(event):
        if isinstance(event, Printed):
            threading.Thread(target=cancellation.request, args=(3.0,)).start()

    ran = run(
        C_STDIO + "import time\nprint('on', flush=True)\ntime.sleep(100)", cancellation=cancellation, emit=cancel
    )
    assert (ran.run.outcome, ran.run.exit_code) == ("cancelled", 0)
    assert (tmp_path / "c.txt").read_text() == "hello" * 10


def test_a_kernel_that_takes_too_long_to_end_names_the_key_for_it(run):
    """It is killed at its limit, and fails."""
    ran = run("\nimport atexit, time\natexit.register(time.sleep, 100)", shutdown_timeout=0.5)
    assert (ran.run.outcome, ran.run.exit_code) == ("failed", -9)
    assert ran.run.failure.message == (
        "the kernel had not ended 0.5 s after its last cell, and was killed: "
        "a thread or an exit handler of the notebook still ran; `[kernel] shutdown_timeout` gives it more time"
    )


def contents(folder):
    """Return the bytes of every file that a notebook left, by name."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "a.py"}
