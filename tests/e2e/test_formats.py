"""Formats of notebooks as a user declares them: Jupytext's, and pairs."""

from __future__ import annotations

import json
import time
from typing import Any

import nbformat
import pytest

from tests.support.project import Project

pytestmark = pytest.mark.slow

PAIRED = {"jupytext": {"formats": "ipynb,py:percent"}}


def ipynb(*sources: str, metadata: dict[str, Any]) -> str:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"c{i}",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for i, source in enumerate(sources)
    ]
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def py(*sources: str, header: str = "") -> str:
    return header + "\n".join(f"# %%\n{source}\n" for source in sources)


@pytest.fixture
def paired(project: Project) -> Project:
    """Make a task of a notebook that Jupytext pairs with a text."""
    project.pipeline('[tasks.a]\nnotebook = "a.ipynb"\noutputs = ["o"]\n')
    project.write("a.ipynb", ipynb("x = 1", "open('o', 'w').write(str(x))", metadata=PAIRED))
    return project.write("a.py", py("x = 1", "open('o', 'w').write(str(x))"))


def test_a_format_that_is_given_is_not_guessed(project: Project) -> None:
    """A gallery script is a light script to Jupytext; the executed notebook has the cells of the format."""
    project.write(
        "a.py", '"""\nTitle\n"""\n\nopen("o", "w").write("1")\n\n' + "#" * 30 + "\n# Some text\n\ny = 2\n"
    )
    project.pipeline(
        '[tasks.a]\nnotebook = "a.py"\nformat = "py:sphinx"\noutputs = ["o"]\nnotebook_output = "e.ipynb"\n'
    )
    project.build().ran("a")
    cells = nbformat.read(project / "e.ipynb", 4).cells
    assert [cell.cell_type for cell in cells[-3:]] == ["code", "markdown", "code"]
    project.remove("e.ipynb", ".nbdag/state").build().ran()
    assert nbformat.read(project / "e.ipynb", 4).cells[-1].source == "y = 2"


@pytest.mark.parametrize(
    ("notebook", "form", "complaint"),
    [
        ("a.py", "percent", "pipeline.toml:3: `percent` is not a Jupytext format for `a.py`"),
        ("a.py", "md:myst", "pipeline.toml:3: `md:myst` is not a Jupytext format for `a.py`"),
        (
            "a.py",
            "py:nosuch",
            "pipeline.toml:2: a.py cannot be read as a notebook: Jupytext says nosuch is not a valid",
        ),
        ("a.ipynb", "py:percent", "pipeline.toml:3: `format` is for text notebooks, and `a.ipynb` is none"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(project: Project, notebook: str, form: str, complaint: str) -> None:
    """With its line, before anything runs."""
    project.write("a.py", "x = 1\n").write("a.ipynb", ipynb("x = 1", metadata={}))
    project.pipeline(f'[tasks.a]\nnotebook = "{notebook}"\nformat = "{form}"\n')
    project.build().ended(2).said(complaint)


def test_a_default_format_is_for_the_notebooks_of_its_extension(project: Project) -> None:
    """A pipeline may have notebooks of several kinds; what is no format at all is refused all the same."""
    project.write("a.py", "x = 1\n").write("b.ipynb", ipynb("x = 1", metadata={}))
    tasks = '[tasks.a]\nnotebook = "a.py"\n\n[tasks.b]\nnotebook = "b.ipynb"\n'
    project.pipeline(f'[defaults]\nformat = "py:light"\n\n{tasks}').build().ran("a", "b")
    project.pipeline(f'[defaults]\nformat = "light"\n\n{tasks}').build().ended(2)


def test_a_header_that_names_a_kernel_alone_is_enough(project: Project) -> None:
    """The name for people, which nbformat demands, is not needed to run."""
    project.write("a.py", py("x = 1", header="# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n\n"))
    project.write("b.md", "---\njupyter:\n  kernelspec:\n    name: python3\n---\n\n```python\nx = 1\n```\n")
    project.pipeline('[tasks.a]\nnotebook = "a.py"\n\n[tasks.b]\nnotebook = "b.md"\n').build().ran("a", "b")


@pytest.mark.slow
def test_the_text_of_a_pair_is_its_source(paired: Project) -> None:
    """That is said; an edit of the text counts, one of the notebook does not and is reported as a difference."""
    paired.build().ran("a").said("Jupytext pairs `a.ipynb` with `a.py`, whose cells are executed")
    paired.edit("a.py", "x = 1", "x = 2").build().ran("a").said("their cells differ")
    assert paired.read("o") == "2"
    paired.edit("a.ipynb", "x = 1", "x = 3").build().ran()
    paired.remove("a.py").build().ran("a")
    assert paired.read("o") == "3"
    paired.write("a.py", py("x = 2", "open('o', 'w').write(str(x))")).build().restored("a").ran()
    assert paired.read("o") == "2"


def test_what_may_be_a_mistake_is_reported_each_time(paired: Project) -> None:
    """Also by a build with nothing to do, that reads neither the pair nor the folders of inputs."""
    paired.edit("a.py", "x = 1", "x = 2").edit("pipeline.toml", "outputs", 'inputs = ["in/", "in/*"]\noutputs')
    paired.build().ran("a")
    for _ in range(2):
        time.sleep(2.1)  # what is younger than 2 s is looked at again
        build = paired.build().ran()
        build.said("their cells differ")
        build.said("`in/` of task `a` does not exist").said("`in/*` of task `a` matches no file")
    paired.write("in/x", "").edit("a.py", "x = 2", "x = 1").build().ran("a")
    assert "warning" not in paired.build().ran().err


def test_notebooks_that_are_not_paired_have_nothing_to_do_with_each_other(paired: Project) -> None:
    """The same name alone pairs nothing."""
    paired.write("a.ipynb", ipynb("x = 5", "open('o', 'w').write(str(x))", metadata={})).build().ran("a")
    assert paired.read("o") == "5"


def test_the_folder_of_a_pair_may_differ(paired: Project) -> None:
    """Jupytext's formats can name a prefix."""
    metadata = {"jupytext": {"formats": "ipynb,scripts//py:percent"}}
    paired.write("a.ipynb", ipynb("x = 1", metadata=metadata)).write(
        "scripts/a.py", py("open('o', 'w').write('8')")
    )
    paired.build().ran("a").said("with `scripts/a.py`")
    assert paired.read("o") == "8"


def test_a_configuration_file_of_jupytext_pairs_as_metadata_do(paired: Project) -> None:
    """When it comes and goes as well, and for the other file that an edit reaches."""
    source = "open('o', 'w').write(str(x))"
    paired.write("a.ipynb", ipynb("x = 1", source, metadata={})).remove("a.py").write(
        "s/a.py", py("x = 2", source)
    )
    paired.build().ran("a")
    paired.write("pyproject.toml", '[tool.jupytext]\nformats = "ipynb,s//auto:percent"\n')
    paired.build().ran("a").said("Jupytext pairs `a.ipynb` with `s/a.py`")
    assert paired.read("o") == "2"
    paired.edit("a.ipynb", "x = 1", "x = 2")
    place = paired.nbdag("open", "a", "--print-path").stdout.strip()
    copy: Any = nbformat.read(place, 4)
    for cell in copy.cells:
        cell.source = cell.source.replace("x = 2", "x = 3")
    nbformat.write(copy, place)
    assert paired.nbdag("open", "a", "--save-back").stderr == "saved s/a.py\nsaved a.ipynb\n"
    paired.remove("pyproject.toml").edit("a.ipynb", "x = 3", "x = 4").build().ran("a")
    assert paired.read("o") == "4"


def test_a_configuration_file_of_jupytext_that_cannot_be_read_is_named(paired: Project) -> None:
    """Which of two notebooks is executed cannot be known then; a notebook that says it itself needs none."""
    paired.write("jupytext.toml", "formats = {\n").build().ran("a")
    paired.write("a.ipynb", ipynb("x = 1", "open('o', 'w').write(str(x))", metadata={}))
    paired.build().ended(2).said(
        "pipeline.toml:2: jupytext.toml can pair `a.ipynb` with a text, and cannot be read"
    )


@pytest.mark.parametrize("declared", ["a.ipynb", "a.py"])
def test_an_edit_in_the_copy_reaches_both_of_a_pair(paired: Project, declared: str) -> None:
    """The notebook keeps outputs of what was not edited; one with other cells is left alone, and that is said."""
    paired.pipeline(f'[tasks.a]\nnotebook = "{declared}"\noutputs = ["o"]\n')
    note: Any = nbformat.read(paired / "a.ipynb", 4)
    note.cells[1].outputs = [nbformat.v4.new_output("stream", text="kept")]
    nbformat.write(note, paired / "a.ipynb")

    def edit(old: str, new: str) -> str:
        place = paired.nbdag("open", "a", "--print-path").stdout.strip()
        copy: Any = nbformat.read(place, 4)
        for cell in copy.cells:
            cell.source = cell.source.replace(old, new)
        nbformat.write(copy, place)
        return paired.nbdag("open", "a", "--save-back").stderr

    assert edit("x = 1", "x = 7") == "saved a.py\nsaved a.ipynb\n"
    assert "x = 7" in paired.read("a.py")
    after: Any = nbformat.read(paired / "a.ipynb", 4)
    assert [cell.source for cell in after.cells] == ["x = 7", "open('o', 'w').write(str(x))"]
    assert (after.cells[1].outputs[0].text, after.metadata.jupytext.formats) == ("kept", "ipynb,py:percent")
    paired.edit("a.ipynb", "x = 7", "x = 'mine'")
    assert "a.ipynb, paired with it by Jupytext, was not: its cells differ" in edit("x = 7", "x = 8")
    assert ("x = 8" in paired.read("a.py"), "x = 'mine'" in paired.read("a.ipynb")) == (True, True)
