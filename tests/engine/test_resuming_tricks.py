"""State that notebooks keep between cells: resumed as it was, or refused with the reason, whatever they display.

Each notebook shows more than 64 KiB in every way before its snapshots: libraries send such pieces by other means.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.resumable import Ran, Resumable

LARGE = """\
import sys
from IPython.display import HTML, display
display(HTML('x' * 70_000))
print('y' * 70_000)
print('z' * 70_000, file=sys.stderr)
import os; os.write(2, b'w' * 70_000)
'v' * 70_000
"""


@dataclass(frozen=True)
class Trick:
    """``makes`` state that ``uses`` shows; ``refused`` says why it cannot be resumed, if so."""

    makes: str
    uses: str
    refused: str = ""
    differs: bool = False
    """A run from the start shows something else, each time."""
    fails: bool = False
    """The draft fails, and no run from the start does."""


TRICKS = {
    "environment variable": Trick("import os; os.environ['MINE'] = 'a'", "print(os.environ['MINE'])"),
    "working directory": Trick("import os; os.chdir('/')", "print(os.getcwd())"),
    "timer": Trick(
        "import signal; _ = signal.signal(signal.SIGALRM, print); signal.alarm(1000)",
        "print(signal.getitimer(signal.ITIMER_REAL)[0] > 0)",
        refused="a timer that runs",
    ),
    "profiling timer": Trick(
        "import signal; signal.setitimer(signal.ITIMER_PROF, 1000)",
        "print(signal.getitimer(signal.ITIMER_PROF)[0] > 0)",
        refused="a timer that runs",
    ),
    "random": Trick("import random; random.seed(3)", "print(random.random())"),
    "numpy.random": Trick("import numpy as np; np.random.seed(3)", "print(np.random.rand())"),
    "generator of numpy": Trick("import numpy as np; rng = np.random.default_rng(3)", "print(rng.random())"),
    "settings of matplotlib": Trick(
        "import matplotlib; matplotlib.rcParams['lines.linewidth'] = 7",
        "print(matplotlib.rcParams['lines.linewidth'])",
    ),
    "figure": Trick(
        "import matplotlib; matplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
        "figure, axes = plt.subplots(); line, = axes.plot([1, 2])",
        "axes.plot([3]); figure.savefig('f.png', metadata={'Software': None})\n"
        "import hashlib; print(len(axes.lines), hashlib.md5(open('f.png', 'rb').read()).hexdigest())",
    ),
    "image": Trick(
        "%matplotlib inline\nimport matplotlib.pyplot as plt, numpy as np\n"
        "plt.imshow(np.random.default_rng(1).random((200, 200))); plt.show()",
        "print(plt.get_backend())",
    ),
    "file open for reading": Trick("file = open('lines.txt'); file.readline()", "print(file.readline())"),
    "database in memory": Trick(
        "import sqlite3; db = sqlite3.connect(':memory:'); db.execute('create table t (x)')",
        "db.execute('insert into t values (1)'); print(db.execute('select * from t').fetchall())",
    ),
    "iterator": Trick("numbers = (n * n for n in range(9)); next(numbers)", "print(next(numbers), next(numbers))"),
    "mutation": Trick("values = [1]; same = values", "values.append(2); print(same)"),
    "declared output": Trick(
        "open('out.txt', 'a').write('1')", "open('out.txt', 'a').write('2')\nprint(open('out.txt').read())"
    ),
    "%cd": Trick("%cd -q /", "%pwd"),
    "%env": Trick("%env MINE=1", "print(os.environ['MINE'])"),
    "%autoreload": Trick(
        "%load_ext autoreload\n%autoreload 2", "get_ipython().events.callbacks['pre_run_cell'] != []"
    ),
    "In and Out": Trick("40 + 2", "print(sorted(Out), len(In), get_ipython().execution_count)"),
    "display that is updated": Trick("handle = display('old', display_id='d')", "handle.update('new')"),
    "logging": Trick(
        "import logging; log = logging.getLogger('mine'); log.addHandler(logging.StreamHandler(sys.stdout))",
        "log.warning('logged')",
    ),
    "series of logged values": Trick(
        "import nbmake_dag as nbdag\nfor n in range(3): nbdag.log_metric('loss', n, step=n)",
        "nbdag.log_metric('loss', 3, step=3)",
    ),
    "logged file": Trick(
        "import nbmake_dag as nbdag; nbdag.log_dict({}, 'a.json')", "nbdag.log_dict({}, 'b.json')"
    ),
    "threads of BLAS": Trick("import numpy as np; a = np.ones((400, 400)); b = a @ a", "print((b @ a)[0, 0])"),
    "finalizer": Trick(
        "import weakref\nclass K: pass\nk = K(); weakref.finalize(k, print, 'finalized')", "del k; print('after')"
    ),
    "module": Trick("import decimal; decimal.getcontext().prec = 5", "print(decimal.Decimal(1) / 3)"),
    "contended lock of asyncio": Trick(
        "import asyncio; lock = asyncio.Lock()\nasync def use():\n"
        "    async with lock: await asyncio.sleep(0.001)\n"
        "await asyncio.gather(use(), use())",
        "await asyncio.gather(use(), use()); print('held')",
    ),
    "event loop": Trick(
        "import asyncio; loop = asyncio.get_running_loop(); done = loop.create_future()",
        "loop.call_later(0.001, done.set_result, 'set'); print(await done, loop is asyncio.get_running_loop())",
    ),
    "thread": Trick(
        "import threading; stop = threading.Event()\n"
        "threading.Thread(target=stop.wait, name='mine', daemon=True).start()",
        "print('after')",
        refused="the thread 'mine'",
    ),
    "file open for writing": Trick(
        "file = open('w.txt', 'w')", "print('after')", refused="w.txt, open for writing"
    ),
    "database in a file": Trick(
        "import sqlite3; db = sqlite3.connect('db.sqlite'); db.execute('create table if not exists t (x)')",
        "print('after')",
        refused="db.sqlite, open for writing",
    ),
    "pool of threads": Trick(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1); pool.submit(int).result()",
        "print('after')",
        refused="the thread 'ThreadPoolExecutor",
    ),
    "random without a seed": Trick(
        "import random; value = random.SystemRandom().random()", "print(value)", differs=True
    ),
    "file that is not declared": Trick(
        "open('more.txt', 'a').write('1')", "print(len(open('more.txt').read()))", differs=True
    ),
    "process number": Trick("import os; pid = os.getpid()", "print(pid)", differs=True),
    "clock": Trick("import time; began = time.time()", "print(began)", differs=True),
    "temporary folder": Trick(
        "import tempfile; folder = tempfile.TemporaryDirectory(); open(folder.name + '/a', 'w').write('1')",
        "print(open(folder.name + '/a').read())",
        fails=True,
    ),
    "file that a later cell removes": Trick(
        "open('between.txt', 'w').write('1')",
        "print(open('between.txt').read()); import os; os.unlink('between.txt')",
        fails=True,
    ),
}


@pytest.fixture(scope="module")
def notebook() -> Iterator[Resumable]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "lines.txt").write_text("one\ntwo\nthree\n")
        notebook = Resumable(Path(folder))
        yield notebook
        notebook.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRICKS)
def test_state_is_resumed_or_refused_also_after_large_outputs(notebook: Resumable, name: str) -> None:
    """A draft shows what a run from the start shows; what no fork can carry is named."""
    check(notebook, TRICKS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["image", "contended lock of asyncio", "thread", "temporary folder"])
def test_some_state_is_resumed_or_refused_also_after_large_outputs(notebook: Resumable, name: str) -> None:
    """The same for a few."""
    check(notebook, TRICKS[name])


def texts(ran: Ran) -> list[str]:
    """Return what the cells show, without addresses."""
    return [re.sub("0x[0-9a-f]+", "", text) for text in ran.shown]


def check(notebook: Resumable, trick: Trick) -> None:
    notebook.forget()
    before, declared = [LARGE, trick.makes], ("out.txt",) if "out.txt" in trick.makes else ()
    first = notebook.run([*before, trick.uses], declared_outputs=declared)
    assert first.result.outcome == "succeeded", first.result.failure
    assert len(first.snapshots) == (1 if trick.refused else 3)
    assert [reason for reason in first.reasons if not trick.refused or trick.refused not in reason] == []
    cells = [*before, f"{trick.uses}\n1 + 1"]
    draft = notebook.run(cells, declared_outputs=declared)
    assert draft.result.resumed
    assert [cell.cell.index for cell in draft.result.cells] == ([1, 2] if trick.refused else [2])
    assert draft.result.outcome == ("failed" if trick.fails else "succeeded"), draft.result.failure
    start = notebook.run(cells, resumes=False, declared_outputs=declared)
    assert start.result.outcome == "succeeded"
    if not trick.fails:
        assert (texts(draft) == texts(start)) is not trick.differs
        assert draft.result.logged.params == start.result.logged.params
        assert draft.result.logged.metrics == start.result.logged.metrics
        assert draft.result.logged.artifacts == start.result.logged.artifacts
