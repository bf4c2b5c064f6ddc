"""`nbdag blame` over what parts and profiles of a pipeline say, and inputs that are only kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.project import Project

_WHOLE = """
    [pipeline]
    parts = ["models/pipeline.toml"]

    [runs]
    keep_inputs = true

    [tasks.prepare]
    command = "cat in.txt > clean.txt"
    inputs = ["in.txt"]
    outputs = ["clean.txt"]
"""
_PART = """
    [parameters]
    depth = 1

    [tasks.train]
    function = "work:train"
    inputs = ["../clean.txt"]
    outputs = ["model.txt"]
    parameters = { rate = 1 }

    [profiles.large.tasks.train]
    parameters = { rate = 5 }
"""
_WORK = """
    import nbmake_dag as nbdag

    def train(inputs, outputs, depth, rate):
        size = len(open("../clean.txt").read())
        nbdag.log_metric("accuracy", 0.9 - 0.1 * (rate == 5) - 0.001 * size * (depth == 1))
        open("model.txt", "w").write(str(size))
"""


@pytest.mark.slow
def test_the_value_of_a_profile_of_a_part_is_named_and_a_kept_input_is_mixed(tmp_path: Path) -> None:
    """The runs were given different profiles, and the input is in no commit and no longer as the first had it."""
    project = Project(tmp_path / "project").pipeline(_WHOLE).write("models/pipeline.toml", _PART)
    project.write("work.py", _WORK).write("in.txt", "a")
    project.write(".gitignore", "/.nbdag/\n/in.txt\n/clean.txt\n/models/model.txt\n").commit()
    assert project.build().code == 0
    project.write("in.txt", "b").edit("models/pipeline.toml", "depth = 1", "depth = 2").commit()
    assert project.build("--profile", "large").code == 0
    done = project.nbdag("blame", "accuracy", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [change["what"] for change in found["changes"]] == [
        "input in.txt",
        "models/pipeline.toml: parameters.depth (1 → 2)",
        "models/pipeline.toml: tasks.train.parameters.rate (1 → 5)",
    ]
    (culprit,) = (change for change in found["changes"] if change["is_culprit"])
    assert culprit["what"] == "models/pipeline.toml: tasks.train.parameters.rate (1 → 5)"
    assert round(found["explained"], 6) == -0.1
    kept = json.loads(next((project / ".nbdag/blames").iterdir()).read_text())
    assert kept == found
