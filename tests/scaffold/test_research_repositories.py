"""`nbdag init` finds the graph of research repositories, and declares no edge that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbmake_dag.config.pipeline_file import expand, parse
from nbmake_dag.core.graph import build_graph
from nbmake_dag.scaffold.config_text import config_text
from nbmake_dag.scaffold.discovery import discover
from nbmake_dag.scaffold.draft import draft
from tests.scaffold.research import Repository
from tests.scaffold.research_repositories import REPOSITORIES
from tests.support.project import Project

KERNELS = {"python3": "python"}


def _edges(root: Path) -> set[tuple[str, str]]:
    """Return which task needs which in the pipeline that would be written."""
    text = config_text("project", draft(str(root), discover(str(root)).notebooks), [], KERNELS)
    graph = build_graph(expand(parse(text.encode()), {}, {}))
    return {(str(above), str(name)) for name, needed in graph.upstream.items() for above in needed}


def test_the_graphs_of_research_repositories_are_found(tmp_path: Path) -> None:
    """Of 38 edges that a reader finds, all are declared, and no other."""
    found: set[tuple[str, str, str]] = set()
    real: set[tuple[str, str, str]] = set()
    for name, repository in REPOSITORIES.items():
        repository.write(tmp_path / name)
        real |= {(name, *pair) for pair in repository.pairs}
        found |= {(name, *pair) for pair in _edges(tmp_path / name)}
    assert len(real) == 38
    assert found == real


@pytest.mark.parametrize("name", REPOSITORIES)
def test_what_is_written_for_them_can_be_planned(tmp_path: Path, name: str) -> None:
    """Whichever kernels their authors have, and although their data are not there."""
    project = Project(tmp_path / name)
    REPOSITORIES[name].write(project.root)
    assert project.nbdag("init").returncode == 0
    planned = project.nbdag("build", "-n")
    assert planned.returncode == 0, planned.stderr


def test_what_cannot_be_declared_costs_no_other_edge(tmp_path: Path) -> None:
    """Circles, two writers, names in other letters, outputs that are sources or lead outside: suggestions."""
    project = Project(tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    (project / "link").symlink_to(tmp_path / "elsewhere")
    project.write("folder.csv/x", "")
    for name, code in {
        "first": "open('first.csv', 'w')",
        "circle_1": "open('first.csv')\nopen('y.csv')\nopen('x.csv', 'w')\nopen('out.csv', 'w')",
        "circle_2": "open('x.csv')\nopen('y.csv', 'w')",
        "last": "open('out.csv')\nopen('folder.csv')\nopen('two.csv')\nopen('link/x.csv')",
        "two_1": "open('two.csv', 'w')",
        "two_2": "open('two.csv', 'w')\nopen('Case.csv', 'w')\nopen('link/x.csv', 'w')",
        "case": "open('case.csv', 'w')\nopen('pipeline.toml', 'w')\nopen('first.py', 'w')\nopen('a', 'w')",
        "reads": "open('Case.csv')\nopen('case.csv')\nopen('a/x.csv')\nglob.glob('fi*.csv')",
        "below": "open('./a', 'w')\nopen('a/x.csv', 'w')\nopen('first.py')",
    }.items():
        project.notebook(f"{name}.py", code)
    assert _edges(project.root) == {
        ("first", "circle_1"),
        ("circle_1", "last"),
        ("first", "reads"),
    }
    assert project.nbdag("init").returncode == 0
    planned = project.nbdag("build", "-n")
    assert planned.returncode == 0, planned.stderr


def test_one_kernel_for_all_is_no_kernel_for_those_that_have_theirs(tmp_path: Path) -> None:
    """Where some ask for a kernel that is installed, only the others get another."""
    for name, kernel in {"a": "absent", "b": "other", "c": "python3"}.items():
        Repository({f"{name}.ipynb": "1"}, {}, kernel=kernel).write(tmp_path)
    drafts = draft(str(tmp_path), discover(str(tmp_path)).notebooks)
    text = config_text("project", drafts, [], {**KERNELS, "other": "python"})
    assert [line for line in text.splitlines() if line.startswith("kernel")] == [
        'kernel = "python3"           # `absent` is not installed here'
    ]
    assert "[defaults]" not in text
