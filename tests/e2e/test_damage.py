"""Any file in `.nbdag/` cut, flipped or deleted: a rebuild and a warning at most, and never a wrong output."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import OUTPUTS
from tests.support.damage import damage
from tests.support.project import Project

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Build once a pipeline whose tasks are quick, and that has something of everything in its `.nbdag`."""
    project = Project(tmp_path_factory.mktemp("damage") / "project")
    project.pipeline(
        """
        [tasks.source]
        notebook = "source.py"
        outputs = ["data/source.txt", "data/folder/"]

        [tasks.part]
        command = "tr a-z A-Z < data/source.txt > results/{name}.txt; echo {name} >> results/{name}.txt"
        matrix = { name = ["x", "y"] }
        inputs = ["data/source.txt"]
        outputs = ["results/{name}.txt"]

        [tasks.whole]
        command = "cat results/x.txt results/y.txt > results/whole.txt"
        inputs = ["results/*.txt"]
        outputs = ["models/whole.txt"]
        """.replace("> results/whole.txt", "> models/whole.txt")
    )
    project.write("helper.py", "def text():\n    return 'text'\n")
    project.notebook(
        "source.py",
        "import os\nimport helper\nimport nbmake_dag as nbdag",
        "nbdag.log_metric('length', len(helper.text()))",
        "open('data/source.txt', 'w').write(helper.text())",
        "os.mkdir('data/folder')\nopen('data/folder/a.txt', 'w').write('a')",
    )
    project.build().ran("source", "part[name=x]", "part[name=y]", "whole")
    project.build().ran()
    return project


ALL_OR_ONE = (1.0, 0.0)
"""Shares of the files that are hit; one file at least."""
MANY = (1.0, 0.5, 0.5, 0.2, 0.2, *[0.0] * 15)


@pytest.mark.parametrize(
    "how", [pytest.param("cut", marks=pytest.mark.slow), "flip", pytest.param("deleted", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("outputs", ["in place", "gone"])
@pytest.mark.parametrize(
    "shares",
    [ALL_OR_ONE, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
    ids=["once", "often"],
)
def test_damaged_files_cost_a_rebuild_at_most(
    built: Project,
    tmp_path: Path,
    how: str,
    outputs: str,
    shares: list[float],
):
    """Of every file or of some; whatever ran, the outputs are right, and the build after that runs nothing."""
    clean = built.contents(OUTPUTS)
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for share in shares:
        project = Project.copied(built.root, tmp_path / "copy")
        files = sorted(file for file in (project / ".nbdag").rglob("*") if file.is_file())
        hit = [file for file in files if chance.random() < share] or [chance.choice(files)]
        for file in hit:
            damage(file, how, chance)
        if outputs == "gone":
            project.remove(*OUTPUTS)
        about = f"seed {seed}, {how} {[str(file.relative_to(project.root)) for file in hit]}"
        build = project.build()
        assert build.code == 0, f"{about}\n{build.err}"
        assert project.contents(OUTPUTS) == clean, about
        again = project.build()
        assert (again.code, again.having("ran"), again.having("restored")) == (0, [], []), f"{about}\n{again.err}"
        assert "warning" not in again.err, about
        shutil.rmtree(project.root)
