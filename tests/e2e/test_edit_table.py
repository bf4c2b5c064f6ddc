"""Which edits run how many tasks: the table that no other notebook tool passes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import OUTPUTS, SMALL_TASKS
from tests.support.project import Project

MNIST = Path(__file__).parents[2] / "examples" / "mnist-digits"


def touch_all(project: Project) -> None:
    for path in project.root.rglob("*"):
        if ".nbdag" not in path.parts and path.is_file():
            os.utime(path)


def test_edits_of_a_small_pipeline_run_exactly_what_they_concern(small, tmp_path):
    """Nothing for what changes no result, what an edit reaches and no more, and nothing twice."""
    small.build().ran(*SMALL_TASKS)
    small.commit()
    clean = small.contents(OUTPUTS)
    assert small.read("results/summary.txt") == "[(5, 3.0), (10, 5.5)]"

    small.build().ran().restored()
    small.edit("notebooks/eda.py", "A look", "Another look").build().ran().restored()
    small.edit("notebooks/eda.py", "# how many", "# HOW many").build().ran().restored()
    small.edit("notebooks/eda.py", "count = len(", "count   =  len( ").build().ran().restored()
    touch_all(small)
    small.build().ran().restored()

    copy = Project.copied(small.root, tmp_path / "elsewhere" / "copy")
    touch_all(copy)
    copy.build().ran().restored()

    small.edit("notebooks/eda.py", "print(count)", "print('count', count)").build().ran("eda")
    small.remove(*OUTPUTS).build().ran().restored(*SMALL_TASKS)
    assert small.contents(OUTPUTS) == clean

    small.git("checkout", "-q", "notebooks/eda.py")
    small.build().ran().restored()

    small.edit("pipeline.toml", "[5, 10]", "[5, 10, 15]")
    small.build().ran("train[size=15]", "benchmark[size=15]", "summary")
    assert small.read("results/summary.txt") == "[(5, 3.0), (10, 5.5), (15, 8.0)]"
    small.git("stash", "-q")
    small.build().ran().restored("summary")
    assert small.read("results/summary.txt") == "[(5, 3.0), (10, 5.5)]"
    small.git("stash", "pop", "-q")
    # what the instance had left was moved away while it was gone
    small.build().ran().restored("train[size=15]", "benchmark[size=15]", "summary")
    assert small.read("results/summary.txt") == "[(5, 3.0), (10, 5.5), (15, 8.0)]"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_edits_of_the_mnist_example_run_exactly_what_they_concern(tmp_path):
    """The same table on the example, whose `ingest` fails once and hangs once."""
    outputs = ["data", "models", "results"]
    project = Project.copied(MNIST, tmp_path / "mnist").edit("pipeline.toml", 'timeout = "10s"', 'timeout = "30s"')
    project.write(".gitignore", "/.nbdag/\n/data/\n/models/\n/results/\n").commit()
    first = project.build()
    everything = first.having("ran")
    assert (len(everything), first.code) == (10, 0), first.err
    attempts = {task["name"]: task["attempts"] for task in first.summary["tasks"]}
    assert attempts == dict.fromkeys(everything, 1) | {"ingest": 3}
    clean = project.contents(outputs)

    project.build().ran().restored()
    project.edit("notebooks/eda.py", "# # A first look", "# # The first look").build().ran().restored()
    project.edit("notebooks/ingest.py", "0 is paper, 1 is ink", "0 is white").build().ran().restored()
    project.edit("notebooks/eda.py", "counts = np.bincount(", "counts = np . bincount( ").build().ran().restored()
    touch_all(project)
    project.build().ran().restored()
    copy = Project.copied(project.root, tmp_path / "elsewhere")
    touch_all(copy)
    copy.build().ran().restored()

    project.edit("notebooks/eda.py", 'color="gray"', 'color="black"').build().ran("eda")
    project.remove(*outputs).build().ran().restored(*everything)
    assert project.contents(outputs) == clean

    project.edit("pipeline.toml", "[60, 200, 600]", "[60, 200, 400, 600]")
    project.build().ran("train[nr_train_images=400]", "benchmark[nr_train_images=400]", "summary")
    project.git("stash", "-q")
    assert project.build().ran().code == 0
    assert project.contents(["results/summary.csv"]) == {"results/summary.csv": clean["results/summary.csv"]}
    project.git("stash", "pop", "-q")
    project.build().ran()
    project.leaves_nobody()
