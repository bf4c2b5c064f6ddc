"""Private copies: what they begin with, and that nothing in them leads out to be written to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmake_dag.core.model import ProjectPath
from nbmake_dag.errors import UsageError
from nbmake_dag.observe.project import Project as Place
from nbmake_dag.observe.project import find_project
from nbmake_dag.referee.copies import copy_of, furnish, put
from nbmake_dag.referee.order import Absent, Base, Blob, Bytes, Commit, OnDisk, Workspace
from tests.support.project import Project

BASES = pytest.mark.parametrize("base", [Workspace(), Commit("HEAD")], ids=["workspace", "commit"])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project").pipeline("").write("a.txt", "a").write("data/b.txt", "b")


def furnished(project: Project, folder: Path, base: Base) -> Place:
    place = find_project(str(project.root))
    copy = copy_of(place, str(folder))
    furnish(place, copy, base)
    return copy


def files_in(copy: Place) -> dict[str, str]:
    root = Path(copy.root)
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@BASES
def test_a_copy_has_the_files_of_submodules(project: Project, tmp_path: Path, base: Base) -> None:
    """Those of the commit that the commit names, whatever is in the work tree by now."""
    inner = Project(tmp_path / "inner").write("helper.py", "x = 1").commit()
    project.commit()
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.root), "lib")
    project.commit()
    project.write("lib/helper.py", "x = 2")
    expected = "x = 1" if isinstance(base, Commit) else "x = 2"
    assert files_in(furnished(project, tmp_path / "copy", base))["lib/helper.py"] == expected


@BASES
@pytest.mark.parametrize("is_absolute", [True, False], ids=["absolute", "relative"])
def test_no_link_leads_out_of_a_copy(project: Project, tmp_path: Path, base: Base, *, is_absolute: bool) -> None:
    """What a task writes through one in its copy, it would write where the workspace does."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/c.txt").write_text("c")
    outside = str(tmp_path / "outside") if is_absolute else "../outside"
    os.symlink(outside, project / "out")
    os.symlink(f"{outside}/c.txt", project / "c.txt")
    os.symlink("data", project / "same")
    project.commit()
    copy = furnished(project, tmp_path / "copies/1", base)
    within = str(tmp_path / "copies/1")
    put(copy.absolute("out/d.txt"), Bytes(b"d"), (), within)
    put(copy.absolute("c.txt"), Bytes(b"other"), (), within)
    put(copy.absolute("same/e.txt"), OnDisk(str(project / "a.txt")), (), within)
    assert {path.name: path.read_text() for path in (tmp_path / "outside").iterdir()} == {"c.txt": "c"}
    assert not (project / "data/e.txt").exists()
    assert Path(copy.absolute("data/e.txt")).read_text() == "a"
    assert (project / "c.txt").is_symlink()


@BASES
def test_a_file_is_put_below_a_link_to_a_folder_that_is_not_there_yet(
    project: Project, tmp_path: Path, base: Base
) -> None:
    """It is made where the link leads."""
    os.symlink("results/1", project / "latest")
    project.commit()
    copy = furnished(project, tmp_path / "copy", base)
    assert put(copy.absolute("latest/x.txt"), Bytes(b"x"), (), str(tmp_path / "copy"))
    assert Path(copy.absolute("latest/x.txt")).read_text() == "x"


def test_nothing_is_put_outside_of_a_copy(project: Project, tmp_path: Path) -> None:
    """Paths come from runs and caches of others: an absolute one, or one that leads up, removes no file."""
    copy = furnished(project, tmp_path / "copy", Workspace())
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("mine")
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path / "outside", Path(copy.root) / "link")
    for path in (str(thesis), "../../thesis.tex", "https://../../../../thesis.tex", "link/new.txt"):
        for content in (Bytes(b"other"), Absent(), OnDisk(str(project / "a.txt")), Blob("0" * 64, False)):
            with pytest.raises(UsageError, match="outside of any copy"):
                put(copy.absolute(path), content, (), str(tmp_path / "copy"))
    assert (thesis.read_text(), list((tmp_path / "outside").iterdir())) == ("mine", [])


def test_a_copy_leaves_the_repository_as_it_is(project: Project, tmp_path: Path) -> None:
    """Its index, its work trees, and a change that is staged."""
    project.commit()
    project.write("a.txt", "staged").git("add", "a.txt")
    project.write("a.txt", "changed")
    before = project.contents([".git"])
    assert files_in(furnished(project, tmp_path / "1", Commit("HEAD")))["a.txt"] == "a"
    assert files_in(furnished(project, tmp_path / "2", Workspace()))["a.txt"] == "changed"
    assert project.contents([".git"]) == before
    assert ProjectPath(project.git("worktree", "list").split()[0]) == str(project.root)
