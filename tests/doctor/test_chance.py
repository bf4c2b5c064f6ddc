"""What the code of a notebook says about results that differ each time."""

from __future__ import annotations

import pytest

from nbmake_dag.doctor.chance import suspects
from nbmake_dag_cache.notebook import read_notebook


def found(*cells: str) -> list[str]:
    text = "".join(f"# %%\n{cell}\n" for cell in cells)
    return [str(suspect) for suspect in suspects(read_notebook(text.encode(), "a.py"))]


@pytest.mark.parametrize(
    ("code", "call", "what"),
    [
        ("import time\ntime.time()", "time.time", "reads a clock"),
        ("from datetime import datetime as dt\ndt.now()", "dt.now", "reads a clock"),
        ("import numpy as np\nnp.random.rand(3)", "np.random.rand", "has no seed"),
        ("import numpy as np\nnp.random.default_rng()", "np.random.default_rng", "has no seed"),
        ("frame.sample(frac=1)", "frame.sample", "has no seed"),
        ("import uuid\nuuid.uuid4()", "uuid.uuid4", "is new each time"),
        ("import os\nos.listdir('.')", "os.listdir", "lists files in any order"),
        ("from pathlib import Path\nPath('.').glob('*')", "Path('.').glob", "lists files in any order"),
    ],
)
def test_a_call_that_may_differ_is_named_with_its_cell(code: str, call: str, what: str) -> None:
    """As the code spells it."""
    (said,) = found("x = 1", code)
    assert said.startswith(f"`{call}` in cell 2 {what}")


@pytest.mark.parametrize(
    "code",
    [
        "import random\nrandom.seed(1)\nrandom.random()",
        "import numpy as np\nnp.random.default_rng(1).normal()",
        "frame.sample(frac=1, random_state=1)",
        "import os\nsorted(os.listdir('.'))",
        "import time\ntime.sleep(1)",
        "now = 1",
    ],
)
def test_what_is_seeded_or_sorted_is_no_suspect(code: str) -> None:
    """Nor is what only resembles such a call."""
    assert found(code) == []


def test_each_cause_is_named_once() -> None:
    """In the order of the code."""
    assert [said.split("`")[1] for said in found("import os, time", "os.listdir()\ntime.time()\ntime.time()")] == [
        "os.listdir",
        "time.time",
    ]
