"""Folders as inputs and outputs, also where links lead elsewhere."""

from __future__ import annotations

import shutil

import pytest

from tests.support.project import Project, await_true

LIST = "find -L d -name '*.txt' | sort | xargs cat > all.txt"


def at_rest(project: Project) -> None:
    """Build until the next build can rest on one file, which says that nothing is to do."""
    known = project / ".nbdag/state/unchanged"
    await_true(lambda: project.build().ran() and known.is_dir(), 60, "what was just written is not at rest yet")


@pytest.mark.timing
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


@pytest.mark.parametrize("declared", ["d", "d/", "d/**/*"])
def test_what_tools_drop_into_a_folder_is_no_input(project: Project, declared: str) -> None:
    """Python, Jupyter, editors and desktops leave files beside data; `ignore` adds to them, and `!` takes back."""
    project.write("d/a.txt", "one\n")
    table = f'[tasks.t]\ncommand = "{LIST}"\ninputs = ["{declared}"]\noutputs = ["all.txt"]\n'
    project.pipeline(table)
    project.build().ran("t")
    for path in [
        "__pycache__/m.pyc",
        ".ipynb_checkpoints/a-checkpoint.txt",
        ".DS_Store",
        ".a.txt.swp",
        "a.txt~",
        "m.pyc",
    ]:
        project.write(f"d/{path}", "noise\n")
    project.build().ran()
    project.write("d/b.txt.part", "noise\n")
    project.write("pipeline.toml", f'[pipeline]\nignore = ["*.part"]\n{table}').build().ran()
    project.write("pipeline.toml", f'[pipeline]\nignore = ["*.part", "!*.pyc"]\n{table}').build().ran("t")


def test_files_with_wildcards_in_their_names_can_be_declared(project: Project) -> None:
    """A character in brackets is itself, in an output and in the input that names it."""
    project.pipeline(
        """
        [tasks.make]
        command = "echo 1 > 'a[1].txt'; echo 2 > 'what?*.txt'"
        outputs = ["a[[]1].txt", "what[?][*].txt"]

        [tasks.use]
        command = "cat 'a[1].txt' what*.txt > used.txt"
        inputs = ["a[[]1].txt", "what*.txt"]
        outputs = ["used.txt"]
        """
    )
    project.build().ran("make", "use")
    project.remove("a[1].txt").build().restored("make")
    assert project.read("used.txt") == "1\n2\n"


def test_undeclared_files_are_proposed_as_they_are_declared(project: Project) -> None:
    """The lines of the warning can be pasted, also where a name has wildcards."""
    project.write("what[1].txt", "x")
    project.write("steps.py", "def run():\n    open('what[1].txt').read()\n")
    project.pipeline('[tasks.t]\nfunction = "steps:run"\n')
    assert '"what[[]1].txt" to its `inputs`' in project.build().err


def test_a_link_that_leads_in_a_circle_is_no_input_and_no_output(project):
    """Beside inputs, and beside the pipeline file, it is passed over; in an output it is named."""
    project.write("data/a.txt", "1")
    for name in ("data/loop", "loop.toml"):
        path = project / name
        path.symlink_to(path.name)
    project.pipeline("""
        [tasks.a]
        command = "cat data/*.txt > a.txt; mkdir out; test ! -e link || ln -s b out/b"
        inputs = ["data/**/*.txt", "link"]
        outputs = ["a.txt", "out/"]
    """)
    project.write("link", "")
    failed = project.build()
    assert failed.code == 1
    failed.said("out/b is a symlink to")
    project.edit("pipeline.toml", ', "link"', "").remove("link").build().ran("a")
    project.build().ran()
