"""Files that a notebook looked at before a snapshot without opening them: the snapshot depends on them too."""

from __future__ import annotations

import pytest

from nbmake_dag.core.resume import ANY
from tests.support.resumable import Resumable

LOOKS = {
    "import os; os.path.getsize('data/in.csv')": {"data/in.csv"},
    "from pathlib import Path; Path('data/in.csv').stat()": {"data/in.csv"},
    "import os; os.path.exists('data/in.csv'); os.chdir('data'); os.path.getmtime('in.csv')": {"data/in.csv"},
    "import os; os.access('data/in.csv', os.R_OK)": {"data/in.csv"},
    "import os; os.listdir('data')": {"data/"},
    "import glob; glob.glob('data/*.csv')": {"data/"},
    "import os; os.listdir()": {"./"},
    "import subprocess; subprocess.run(['true'])": {ANY},
    "import os; os.system('true')": {ANY},
    "!true": {ANY},
    "import json, decimal": set(),
    "import pickle, os, shutil; pickle.loads(pickle.dumps(os.stat))('/'); shutil.copy2('/etc/passwd', 'p')": set(),
}


@pytest.fixture
def notebook(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.csv").write_text("1")
    notebook = Resumable(tmp_path)
    yield notebook
    notebook.close()


def test_a_snapshot_knows_what_was_inspected_before_it(notebook):
    """Sizes, times and names of files count, and whatever a child process may have read."""
    for code, expected in LOOKS.items():
        ran = notebook.run([code, "1"], resumes=False)
        assert ran.result.outcome == "succeeded", (code, ran.result.failure)
        opened = set(ran.snapshots[0].opened)
        assert (expected <= opened, opened & {"data/in.csv", "data/", "./", ANY} <= expected) == (True, True), code


def test_a_resumed_kernel_goes_on_noting(notebook):
    """Its own snapshots depend on what the cells before the first one inspected as well."""
    first = "import os; os.path.getsize('data/in.csv')"
    notebook.run([first, "1"])
    ran = notebook.run([first, "os.listdir('data')"])
    assert ran.result.resumed
    assert {"data/in.csv", "data/"} <= set(ran.snapshots[0].opened)
