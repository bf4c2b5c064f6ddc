"""Folders as inputs and outputs, also where links lead elsewhere."""

from __future__ import annotations

import shutil

import pytest

from tests.project import Project, await_true

LIST = "find -L d -name '*.txt' | sort | xargs cat > all.txt"


def at_rest(project: Project) -> None:
    """Build until the next build can rest on one file, which says that nothing is to do."""
    known = project / ".nbdag/state/unchanged"
    await_true(lambda: project.build().ran() and known.is_dir(), 60, "what was just written is not at rest yet")


@pytest.mark.parametrize("declared", ["d", "d/", "d/**/*.txt"])
def test_what_joins_changes_and_leaves_a_folder_is_seen(project: Project, declared: str) -> None:
    """However the folder is declared; what lies behind links is in it, and a circle of links is no trouble."""
    elsewhere = project.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.txt").write_text("behind a link\n")
    project.write("d/a.txt", "one\n")
    (project / "d/link").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(project / "d")
    (project / "d/broken").symlink_to("nowhere")
    project.pipeline(f'[tasks.t]\ncommand = "{LIST}"\ninputs = ["{declared}"]\noutputs = ["all.txt"]\n')
    project.write("pipeline.toml", project.read("pipeline.toml").replace("find -L", "find -L 2>/dev/null"))
    project.build().ran("t")
    at_rest(project)
    (elsewhere / "x.txt").write_text("another text\n")
    project.build().ran("t")
    at_rest(project)
    project.write("d/b.txt", "two\n").build().ran("t")
    at_rest(project)
    project.remove("d/a.txt").build().ran("t")


def test_what_a_link_in_an_output_leads_to_is_left_alone(project: Project) -> None:
    """A restored folder is the one that was made; files that the user put behind a link are the user's."""
    project.pipeline('[tasks.t]\ncommand = "mkdir -p out/sub; echo 1 > out/sub/x.txt"\noutputs = ["out/"]\n')
    project.build().ran("t")
    shutil.move(project / "out/sub", project.root.parent / "mine")
    (project / "out/sub").symlink_to(project.root.parent / "mine")
    project.build().ran().restored()
    (project.root.parent / "mine/x.txt").write_text("edited\n")
    (project.root.parent / "mine/notes.txt").write_text("notes\n")
    project.build().restored("t")
    assert project.read("out/sub/x.txt") == "1\n"
    assert not (project / "out/sub").is_symlink()
    assert (project.root.parent / "mine/x.txt").read_text() == "edited\n"
    assert (project.root.parent / "mine/notes.txt").read_text() == "notes\n"
    project.build().ran().restored()
