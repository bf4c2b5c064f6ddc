"""The examples, as far as reading them goes: building them is tested end to end."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jupytext
import pytest
import tomli
from packaging.requirements import Requirement

from nbmake_dag.config.pipeline_file import expand, parse
from nbmake_dag.core.model import Notebook, Pipeline, Task

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ["mnist-digits", "quickstart"]
"""Those whose instances are known before anything has run."""
NOTEBOOKS = sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/notebooks/*.py"))


def plan(example: str) -> Pipeline:
    return expand(parse((EXAMPLES / example / "pipeline.toml").read_bytes()), {}, {})


def given(task: Task, pipeline: Pipeline) -> dict[str, Any]:
    """Return what nbdag would write below the parameters cell, were all outputs there."""
    made = sorted(output.path for other in pipeline.tasks.values() for output in other.outputs)
    inputs = {
        item.name: [path for path in made if fnmatch(path, item.path)] if item.is_glob else item.path
        for item in task.inputs
    }
    outputs = {item.name: item.path for item in task.outputs}
    return {**task.parameters, **({"inputs": inputs} if inputs else {}), "outputs": outputs}


def imports_of(example: str) -> set[str]:
    notebooks = (EXAMPLES / example / "notebooks").glob("*.py")
    nodes = [node for path in notebooks for node in ast.walk(ast.parse(path.read_text()))]
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {module.partition(".")[0] for module in modules}


def sources_of(pipeline: Pipeline) -> set[str]:
    return {task.work.path for task in pipeline.tasks.values() if isinstance(task.work, Notebook)}


@pytest.mark.parametrize("example", NAMES)
def test_every_notebook_of_an_example_is_a_task(example: str) -> None:
    """The notebooks that the pipeline names are those that lie there."""
    present = {f"notebooks/{path.name}" for path in (EXAMPLES / example / "notebooks").iterdir()}

    assert present - {"notebooks/__pycache__", "notebooks/.ipynb_checkpoints"} == sources_of(plan(example))


@pytest.mark.parametrize(
    ("example", "names"),
    [
        (
            "mnist-digits",
            [
                "ingest",
                "eda",
                "split",
                "train[nr_train_images=60]",
                "train[nr_train_images=200]",
                "train[nr_train_images=600]",
                "benchmark[nr_train_images=60]",
                "benchmark[nr_train_images=200]",
                "benchmark[nr_train_images=600]",
                "summary",
            ],
        ),
        (
            "quickstart",
            [
                "measure",
                "summarise[town=helsinki]",
                "summarise[town=lisbon]",
                "summarise[town=nairobi]",
                "report",
            ],
        ),
    ],
)
def test_an_example_has_the_tasks_that_its_readme_draws(example: str, names: list[str]) -> None:
    """Each instance is planned under the name that the README gives it."""
    readme = (EXAMPLES / example / "README.md").read_text()

    assert names == list(plan(example).tasks)
    assert not [name for name in names if name not in readme]


@pytest.mark.parametrize("notebook", [name for name in NOTEBOOKS if name.startswith(tuple(NAMES))])
def test_a_notebook_run_by_hand_is_one_of_its_tasks(notebook: str) -> None:
    """The defaults of the parameters cell are what the pipeline gives to one instance, no more and no less."""
    example, _, path = notebook.partition("/")
    cells = jupytext.read(EXAMPLES / notebook).cells
    (parameters,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    defaults: dict[str, Any] = {}
    exec(parameters, {}, defaults)
    pipeline = plan(example)
    tasks = [
        task for task in pipeline.tasks.values() if isinstance(task.work, Notebook) and task.work.path == path
    ]

    assert defaults in [given(task, pipeline) for task in tasks]


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_jupytext_writes_the_cells_of_a_notebook_back_as_they_are(notebook: str) -> None:
    """Saving one in Jupyter leaves no difference below its header."""
    text = (EXAMPLES / notebook).read_text()

    written = jupytext.writes(jupytext.reads(text, fmt="py:percent"), fmt="py:percent")

    assert text.split("# ---\n")[2] == written.split("# ---\n")[2]


@pytest.mark.parametrize("example", NAMES)
def test_git_ignores_all_that_a_build_leaves(tmp_path: Path, example: str) -> None:
    """Copied to a repository of its own and built, an example shows its sources and nothing else."""
    project = shutil.copytree(
        EXAMPLES / example, tmp_path / example, ignore=shutil.ignore_patterns(".nbdag", "__pycache__")
    )
    pipeline = plan(example)
    sources = [".gitignore", "README.md", *sorted(sources_of(pipeline)), "pipeline.toml"]
    outputs = [output.path for task in pipeline.tasks.values() for output in task.outputs]
    for path in [*outputs, ".nbdag/state/memo"]:
        os.makedirs(project / os.path.dirname(path), exist_ok=True)
        (project / path).write_bytes(b"")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)

    shown = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )

    assert sources == shown.stdout.splitlines()


def test_the_quickstart_needs_the_standard_library_only() -> None:
    """Whoever has nbdag can build it."""
    assert {"nbmake_dag"} == imports_of("quickstart") - sys.stdlib_module_names


def test_the_extra_has_what_mnist_digits_imports() -> None:
    """What its notebooks import is named in the extra `examples`, or comes along with what is."""
    names = imports_of("mnist-digits") - sys.stdlib_module_names - {"nbmake_dag"}
    homes = importlib.metadata.packages_distributions()
    project = tomli.loads((EXAMPLES.parent / "pyproject.toml").read_text())["project"]
    extra = {Requirement(text).name for text in project["optional-dependencies"]["examples"]}
    along = {Requirement(text).name for name in extra for text in importlib.metadata.requires(name) or []}

    assert set() == {homes[name][0] for name in names} - extra - along
