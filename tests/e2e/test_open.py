"""`nbdag open`: the copy that is edited, and what of it reaches the source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow

SOURCE = """\
# %% tags=["parameters"]
size = 1
inputs = []
outputs = []

# %% [markdown]
# A look

# %%
# as many as wanted
total = size * 2
open(outputs[0], "w").write(str(total))
"""


@pytest.fixture
def opened(project: Project) -> Project:
    project.pipeline("""
        [tasks.note]
        notebook = "notebooks/note.py"
        matrix = { size = [5, 6] }
        inputs = ["data/*.txt"]
        outputs = ["out/{size}.txt"]

        [tasks.copy]
        command = "cp data/a.txt copy.txt"
        inputs = ["data/a.txt"]
        outputs = ["copy.txt"]
    """)
    return project.write("data/a.txt", "1").write("notebooks/note.py", SOURCE)


def copy_of(project: Project, task: str = "note[size=5]") -> Path:
    done = project.nbdag("open", task, "--print-path")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def edit(copy: Path, old: str, new: str) -> None:
    """Save as Jupyter does: the whole document, with outputs, by renaming."""
    notebook: Any = nbformat.read(copy, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new)
        if cell.cell_type == "code":
            cell.execution_count = 3
            cell.outputs = [nbformat.v4.new_output("stream", text="said")]
    temporary = copy.with_name(f".~{copy.name}")
    nbformat.write(notebook, temporary)
    temporary.replace(copy)


def test_the_copy_is_what_the_task_sees(opened: Project) -> None:
    """Run where the editor runs it, the copy has the parameters, inputs and outputs of its task."""
    copy = copy_of(opened)
    sources = [cell.source for cell in nbformat.read(copy, 4).cells]
    assert f"os.chdir('{opened.root}')" in sources[0]
    assert sources[1:] == [
        "size = 1\ninputs = []\noutputs = []",
        '# Parameters\nsize = 5\ninputs = [["data/a.txt"]]\noutputs = ["out/5.txt"]\n',
        "A look",
        '# as many as wanted\ntotal = size * 2\nopen(outputs[0], "w").write(str(total))',
    ]


def test_edits_flow_back_without_what_was_injected(opened: Project) -> None:
    """The source gets the edit and nothing else: no injected cell, no output, no header."""
    edit(copy_of(opened), "size * 2", "size * 3")
    assert "saved notebooks/note.py" in opened.nbdag("open", "note[size=5]", "--save-back").stderr
    assert opened.read("notebooks/note.py") == SOURCE.replace("size * 2", "size * 3")


def test_running_the_copy_leaves_the_source_alone(opened: Project) -> None:
    """A save that only holds outputs writes nothing."""
    edit(copy_of(opened), "nothing of this", "")
    assert opened.nbdag("open", "note[size=5]", "--save-back").stderr == ""
    assert opened.read("notebooks/note.py") == SOURCE


def test_edits_of_different_cells_are_merged(opened: Project) -> None:
    """Where source and copy were edited in different places, both have all."""
    copy = copy_of(opened)
    edit(copy, "size * 2", "size * 3")
    opened.edit("notebooks/note.py", "A look", "Another look")
    assert opened.nbdag("open", "note[size=5]", "--save-back").returncode == 0
    expected = SOURCE.replace("size * 2", "size * 3").replace("A look", "Another look")
    assert opened.read("notebooks/note.py") == expected
    sources = [cell.source for cell in nbformat.read(copy, 4).cells]
    assert "Another look" in sources
    assert "size * 3" in sources[-1]


def test_edits_of_the_source_reach_the_copy(opened: Project) -> None:
    """Also those that came from another instance; outputs of cells that are as they were stay."""
    copy, sister = copy_of(opened), copy_of(opened, "note[size=6]")
    edit(copy, "nothing of this", "")
    edit(sister, "A look", "Another look")
    opened.nbdag("open", "note[size=6]", "--save-back")
    assert "loaded notebooks/note.py" in opened.nbdag("open", "note[size=5]", "--save-back").stderr
    cells = nbformat.read(copy, 4).cells
    assert "Another look" in [cell.source for cell in cells]
    assert "size = 5" in cells[2].source
    assert cells[-1].outputs[0].text == "said"
    assert opened.nbdag("open", "note[size=5]", "--save-back").stderr == ""


@pytest.mark.parametrize("where", ["terminal", "copy"])
@pytest.mark.parametrize("take", ["copy", "source"])
def test_edits_in_the_same_place_are_kept_until_a_person_chooses(opened: Project, take: str, where: str) -> None:
    """Neither is overwritten, and that is said in the terminal and in the copy; what loses is kept beside it."""
    copy = copy_of(opened)
    edit(copy, "size * 2", "size * 3")
    opened.edit("notebooks/note.py", "size * 2", "size * 4")
    for arguments in (["--save-back"], ["--print-path"]):
        done = opened.nbdag("open", "note[size=5]", *arguments)
        assert (done.returncode, "were both changed in the same place" in done.stderr) == (2, True)
    notice = nbformat.read(copy, 4).cells[0]
    assert "+total = size * 4" in notice.source
    assert "size * 4" in opened.read("notebooks/note.py")
    assert "size * 3" in nbformat.read(copy, 4).cells[-1].source
    if where == "copy":
        edit(copy, notice.source, f"`take: {take}`")
    done = opened.nbdag(
        "open", "note[size=5]", "--save-back", *([f"--take={take}"] if where == "terminal" else [])
    )
    assert done.returncode == 0, done.stderr
    expected, lost = ("size * 3", "size * 4") if take == "copy" else ("size * 4", "size * 3")
    assert opened.read("notebooks/note.py") == SOURCE.replace("size * 2", expected)
    cells = nbformat.read(copy, 4).cells
    assert "os.chdir" in cells[0].source
    assert expected in cells[-1].source
    assert any(lost in path.read_text() for path in copy.parent.glob("replaced-*"))
    assert opened.nbdag("open", "note[size=5]", "--save-back").stderr == ""


def test_a_copy_of_which_nothing_is_known_any_more_overwrites_nothing(opened: Project) -> None:
    """Somebody damaged what nbdag had noted."""
    copy = copy_of(opened)
    edit(copy, "size * 2", "size * 3")
    (copy.parent / "source.json").write_text("{")
    done = opened.nbdag("open", "note[size=5]", "--save-back")
    assert (done.returncode, "--take=copy" in done.stderr) == (2, True)
    assert opened.read("notebooks/note.py") == SOURCE
    assert opened.nbdag("open", "note[size=5]", "--save-back", "--take=copy").returncode == 0
    assert opened.read("notebooks/note.py") == SOURCE.replace("size * 2", "size * 3")


def test_opening_again_saves_first(opened: Project) -> None:
    """Edits of which nobody took notice are in the source, and so in the new copy."""
    edit(copy_of(opened), "size * 2", "size * 3")
    assert "size * 3" in copy_of(opened).read_text()
    assert "size * 3" in opened.read("notebooks/note.py")


def test_a_notebook_file_keeps_what_was_run(opened: Project) -> None:
    """Of an ``.ipynb`` source the outputs flow back too, as if it had been opened itself."""
    note: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    nbformat.write(note, opened / "note.ipynb")
    opened.pipeline('[tasks.note]\nnotebook = "note.ipynb"\noutputs = ["x"]\n')
    edit(copy_of(opened, "note"), "x = 1", "x = 2")
    opened.nbdag("open", "note", "--save-back")
    cells = nbformat.read(opened / "note.ipynb", 4).cells
    assert [(cell.source, cell.outputs[0].text) for cell in cells] == [("x = 2", "said")]


@pytest.mark.parametrize("minor", [4, 5])
def test_a_notebook_file_keeps_all_that_was_not_edited(opened: Project, minor: int) -> None:
    """Images in markdown, and outputs of cells that were not run in the copy; what is written is valid."""
    image = {"image.png": {"image/png": "aW1hZ2U="}}
    note: Any = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("![](attachment:image.png)", attachments=image),
            nbformat.v4.new_code_cell("x = 1"),
            nbformat.v4.new_code_cell(
                "print(x)", execution_count=2, outputs=[nbformat.v4.new_output("stream", text="1")]
            ),
        ]
    )
    note.nbformat_minor = minor
    for cell in note.cells if minor == 4 else ():
        del cell["id"]
    nbformat.write(note, opened / "note.ipynb")
    opened.pipeline('[tasks.note]\nnotebook = "note.ipynb"\noutputs = ["x"]\n')
    copy = copy_of(opened, "note")
    for old, new in (("x = 1", "y = 0"), ("y = 0", "x = 2")):
        notebook: Any = nbformat.read(copy, 4)
        edited = next(index for index, cell in enumerate(notebook.cells) if cell.source == old)
        notebook.cells[edited].source = new
        notebook.cells.insert(edited, nbformat.v4.new_markdown_cell(f"A thought on {new}"))
        nbformat.write(notebook, copy)
        opened.nbdag("open", "note", "--save-back")
    found: Any = nbformat.read(opened / "note.ipynb", 4)
    nbformat.validate(found)
    assert [cell.source for cell in found.cells][3:] == ["x = 2", "print(x)"]
    assert found.cells[0].attachments == image
    assert found.cells[4].outputs[0].text == "1"


def test_a_failure_is_opened_as_far_as_it_came(opened: Project) -> None:
    """``--failed`` names the executed notebook with its traceback."""
    opened.edit("notebooks/note.py", "total = size * 2", "total = size / 0")
    assert opened.build("note[size=5]").code == 1
    done = opened.nbdag("open", "note[size=5]", "--failed", "--print-path")
    assert "ZeroDivisionError" in Path(done.stdout.strip()).read_text()


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ("copy", "has no notebook to open"),
        ("note", "is not one task"),
        ("nothing", "no task, tag or output is called"),
    ],
)
def test_what_cannot_be_opened_is_refused(opened: Project, task: str, complaint: str) -> None:
    """Only one task with a notebook can be opened."""
    done = opened.nbdag("open", task, "--print-path")
    assert (done.returncode, complaint in done.stderr) == (2, True)
