"""Questions to git about more files than fit on one command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbmake_dag.observe.git import files_at, ignored, tracked
from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return (
        Project(tmp_path / "project").write(".gitignore", "b.txt").write("a.txt", "a").commit().write("b.txt", "b")
    )


def test_any_number_of_files_can_be_asked_about(project: Project) -> None:
    """The system refuses a command of more than some megabytes."""
    many = [f"{number:0200}.txt" for number in range(35_000)]
    names = ["a.txt", "b.txt", *many, ".gitignore"]
    paths = [str(project / name) for name in names]
    assert ignored(str(project.root), paths) == {str(project / "b.txt")}
    assert files_at(str(project.root), "HEAD", names, 100) == {"a.txt": b"a", ".gitignore": b"b.txt"}
    assert tracked(paths) & set(paths) == {str(project / "a.txt"), str(project / ".gitignore")}
    assert files_at(str(project.root), "HEAD", (), 100) == {}
