"""`nbdag blame` in real repositories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.referee.test_trial import state_of
from tests.support.project import Project

_MNIST = Path(__file__).parents[2] / "examples" / "mnist-digits"
_PIPELINE = """
    [parameters]
    depth = 3

    [tasks.prepare]
    command = "tr a-z A-Z < in.txt > upper.txt"
    inputs = ["in.txt"]
    outputs = ["upper.txt"]

    [tasks.train]
    notebook = "train.py"
    inputs = ["upper.txt", "weights.txt"]
    outputs = ["model.txt"]

    [tasks.report]
    function = "summary:write"
    inputs = ["model.txt"]

    [report.metrics.accuracy]
    direction = "higher"
    tolerance = 0.001
"""
_CELLS = (
    "# markdown\nTrain a model.",
    "# parameters\ndepth = 1",
    "import nbmake_dag as nbdag\nfrom scores import scale\nC = 1.0\nrounds = 10",
    "weight = float(open('weights.txt').read())\nseen = len(open('upper.txt').read())",
    "loss = 0.045 * (C < 0.5) + 0.02 * (depth > 5 and weight > 1)\naccuracy = scale(0.957 - loss)",
    "nbdag.log_metric('accuracy', accuracy)\nopen('model.txt', 'w').write(str(rounds))",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a project that was built once; git has neither of its inputs."""
    project = Project(tmp_path / "project").pipeline(_PIPELINE)
    project.write("in.txt", "data").write("weights.txt", "1.0")
    project.notebook("train.py", *_CELLS)
    project.write("scores.py", "def scale(value):\n    return value\n")
    project.write("summary.py", "def write():\n    pass\n")
    project.write(".gitignore", "/.nbdag/\n/in.txt\n/upper.txt\n/model.txt\n").commit()
    project.build("--executor=inline").ran("prepare", "train", "report")
    return project


def _blame(project: Project, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = project.nbdag("blame", "accuracy", *arguments, "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _culprits(found: dict[str, Any]) -> list[str]:
    return [change["what"] for change in found["changes"] if change["is_culprit"]]


@pytest.mark.slow
def test_the_cell_that_did_it_is_named_among_others(project: Project) -> None:
    """What is only text is no change; edits that nobody committed can be mixed where blobs have the notebooks.

    The workspace, the cache, runs and git stay as they are; asked again, nothing is executed.
    """
    project.edit("train.py", "Train a model.", "Train a small model.")
    project.edit("train.py", "C = 1.0", "C = 0.01  # smaller")
    project.edit("train.py", "str(rounds)", "str(rounds + 1)")
    project.edit("pipeline.toml", "depth = 3", "depth = 4")
    project.build("--executor=inline").ran("train", "report")
    before = state_of(project)

    found = _blame(project)
    assert found["finding"] == "found"
    assert _culprits(found) == ["cell 3 of train.py (C = 1.0 → 0.01)"]
    assert len(found["changes"]) == 3
    assert found["executed"] <= 2 * 2 + 4
    assert state_of(project) == before

    said = project.nbdag("blame", "accuracy")
    assert said.stdout.splitlines()[0] == (
        "accuracy 0.957 → 0.912: cell 3 of train.py (C = 1.0 → 0.01) explains 0.045 of 0.045;"
        " 2 other changes explain nothing"
    )
    assert "0 trials executed" in said.stdout
    assert state_of(project) == before


@pytest.mark.slow
def test_what_works_only_together_is_named_together(project: Project) -> None:
    """A setting and an input, in commits of their own; a module that does nothing is not named."""
    project.edit("pipeline.toml", "depth = 3", "depth = 8")
    project.write("weights.txt", "2.0")
    project.write("scores.py", "def scale(value):\n    return 1 * value\n").commit()
    project.build("--executor=inline").ran("train")
    before = state_of(project)
    found = _blame(project, "-j", "2")
    assert _culprits(found) == ["input weights.txt", "parameters.depth (3 → 8)"]
    assert "only together" in project.nbdag("blame", "accuracy").stdout
    assert state_of(project) == before


@pytest.mark.slow
def test_a_module_that_nobody_committed_is_mixed_while_it_is_there(project: Project) -> None:
    """Once the workspace has another one, the run cannot be made again, and which file is missing is said."""
    project.write("scores.py", "def scale(value):\n    return value / 2\n")
    project.build("--executor=inline").ran("train")
    assert _culprits(_blame(project)) == ["module scores.py (return value → return value / 2)"]
    project.write("scores.py", "def scale(value):\n    return value / 3\n")
    done = project.nbdag("blame", "accuracy")
    assert (done.returncode, done.stdout) == (2, "")
    assert "task `train` is not as it was: module: scores.py changed" in done.stderr
    project.git("checkout", "-q", "scores.py")
    done = project.nbdag("blame", "accuracy", "--dry-run")
    assert "what differs between the runs is not stored as they had it\n  differs  module scores.py" in done.stderr


@pytest.mark.slow
def test_the_regularisation_is_named_among_changes_of_the_mnist_example(tmp_path: Path) -> None:
    """Beside it two edits of texts, and two of code that change nothing that is measured."""
    project = Project.copied(_MNIST, tmp_path / "mnist")
    project.edit("pipeline.toml", "[60, 200, 600]", "[200]")
    project.write(".gitignore", ".nbdag/\ndata/\nmodels/\nresults/\n").commit()
    target = "benchmark[nr_train_images=200]"
    assert project.build("--executor=inline", target).code == 0
    project.edit("notebooks/train-model.py", "# # Train\n", "# # Train a model\n")
    project.edit("notebooks/benchmark-model.py", "# Would you have known?", "# Would you?")
    project.edit("notebooks/train-model.py", "max_iter=1000", "max_iter=2000")
    project.edit("notebooks/benchmark-model.py", "figsize=(6, 5)", "figsize=(6, 6)")
    project.edit("pipeline.toml", "C = 1.0", "C = 0.0001").commit()
    assert project.build("--executor=inline", target).code == 0

    found = _blame(project, "--yes")
    assert (found["finding"], found["machine"]) == ("found", [])
    assert _culprits(found) == ["tasks.train.parameters.C (1.0 → 0.0001)"]
    assert len(found["changes"]) == 3
