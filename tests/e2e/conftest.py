"""Pipelines that several stories begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosts import Hosts
from tests.support.project import Project

SMALL = """
    [pipeline]
    name = "small"

    [tasks.ingest]
    command = "seq 1 20 > data/numbers.txt"
    outputs = ["data/numbers.txt"]

    [tasks.eda]
    notebook = "notebooks/eda.py"
    inputs = ["data/numbers.txt"]
    outputs = ["results/count.txt"]

    [tasks.train]
    function = "learning.models:train"
    matrix = { size = [5, 10] }
    inputs = ["data/numbers.txt"]
    outputs = ["models/{size}.txt"]

    [tasks.benchmark]
    notebook = "notebooks/benchmark.py"
    matrix = { size = [5, 10] }
    inputs = { model = "models/{size}.txt" }
    outputs = { score = "results/{size}.txt" }

    [tasks.summary]
    notebook = "notebooks/summary.py"
    after = ["benchmark"]
    outputs = ["results/summary.txt"]
"""
OUTPUTS = ["data", "models", "results"]
SMALL_TASKS = [
    "benchmark[size=10]",
    "benchmark[size=5]",
    "eda",
    "ingest",
    "summary",
    "train[size=10]",
    "train[size=5]",
]


@pytest.fixture
def small(project: Project) -> Project:
    """Make a pipeline with the shape of the MNIST example, of tasks that take no time."""
    return make_small(project)


@pytest.fixture
def built_small(
    built_once: Callable[[str, Callable[[Project], object]], Path], tmp_path: Path
) -> Iterator[Project]:
    """Copy the same pipeline with all that its first build leaves."""
    built = built_once("small", lambda project: make_small(project).build().ran(*SMALL_TASKS))
    project = Project.copied(built, tmp_path / "project")
    yield project
    project.leaves_nobody()


def make_small(project: Project) -> Project:
    project.write(".gitignore", "/.nbdag/\n/data/\n/models/\n/results/\n__pycache__/\n").pipeline(SMALL)
    project.write("learning/__init__.py", "")
    project.write(
        "learning/models.py",
        """
        def train(size, inputs, outputs):
            with open(inputs[0]) as file:
                numbers = [int(line) for line in file][:size]
            with open(outputs[0], "w") as file:
                print(sum(numbers), file=file)
        """,
    )
    project.notebook(
        "notebooks/eda.py",
        """
        # markdown
        # A look
        """,
        """
        # how many there are
        count = len(open("data/numbers.txt").readlines())
        print(count)
        """,
        "open('results/count.txt', 'w').write(str(count))",
    )
    project.notebook(
        "notebooks/benchmark.py",
        """
        # parameters
        size = 1
        inputs = {}
        outputs = {}
        """,
        "import nbmake_dag as nbdag",
        "score = int(open(inputs['model']).read()) / size",
        "nbdag.log_metric('score', score)",
        "open(outputs['score'], 'w').write(str(score))",
    )
    project.notebook(
        "notebooks/summary.py",
        "import nbmake_dag as nbdag",
        """
        scores = {
            logged.params["size"]: logged.metrics["score"]
            for task, logged in nbdag.upstream().items()
            if task.startswith("benchmark")
        }
        """,
        "open('results/summary.txt', 'w').write(repr(sorted(scores.items())))",
    )
    return project


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Make a cluster of three hosts that share no files."""
    made = Hosts(tmp_path / "hosts")
    try:
        for name in ("head", "left", "right"):
            made.add(name)
        yield made
    finally:
        made.close()
