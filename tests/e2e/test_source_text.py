"""What is saved from a copy into its source: the edit, and nothing but the edit."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from nbmake_dag.editor.source_text import edited_source
from nbmake_dag_cache.notebook import jupytext_notebook

PERCENT = '# %% tags=["parameters"]\nx = 1\n\n# %% [markdown]\n# Some *text*\n\n# %%\nprint(x)\n'
HEADER = (
    "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n#     display_name: Py\n#   custom: 1\n# ---\n\n"
)
SOURCES = {
    "percent.py": PERCENT,
    "header.py": HEADER + PERCENT,
    "short_header.py": "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n\n" + PERCENT,
    "front_matter.py": "# ---\n# title: A\n# ---\n\n" + PERCENT,
    "magic.py": PERCENT.replace("print(x)", "%matplotlib inline\n!echo a\nprint(x)"),
    "commented_magic.py": PERCENT.replace("print(x)", "# %matplotlib inline\nprint(x)"),
    "markers.py": PERCENT.replace("# %%\n", "#%%\n").replace("# %% [markdown]", "# %% [md]"),
    "blank_lines.py": PERCENT.replace("\n\n", "\n\n\n\n"),
    "light.py": "# Some *text*\n\nx = 1\n\n# +\ny = 2\n\nprint(x)\n# -\n",
    "gallery.py": '"""\nTitle\n=====\n\n"""\n\nx = 1\n\n##################\n# Some text\n\nprint(x)\n',
    "plain.md": "# Title\n\n```python\nx = 1\n```\n\nSome text\n\n```python\nprint(x)\n```\n",
    "header.md": "---\njupyter:\n  kernelspec:\n    name: python3\n    display_name: P\n---\n\nSome text\n\n"
    "```python\nx = 1\nprint(x)\n```\n",
    "myst.md": "---\nkernelspec:\n  name: python3\n  display_name: P\nauthor: me\njupytext:\n"
    "  text_representation:\n    extension: .md\n    format_name: myst\n---\n\n"
    "Some text\n\n```{code-cell} ipython3\nprint(x)\n```\n",
    "plain.Rmd": "---\ntitle: x\noutput: html_document\n---\n\nSome text\n\n"
    "```{r, echo=FALSE}\nx <- 1\nprint(x)\n```\n",
    "python.Rmd": "---\ntitle: x\n---\n\n```{python}\nx = 1\nprint(x)\n```\n\nSome text\n",
    "spin.R": "#' Some text\n\n#+\nx <- 1\nprint(x)\n",
}


def copy_of(source: str, name: str, edit: tuple[str, str] = ("", ""), form: str = "") -> str:
    """Return what Jupyter saves after an edit: the notebook as ``.ipynb``, with outputs."""
    notebook: Any = jupytext_notebook(
        source.replace("\r\n", "\n").removeprefix("\ufeff"), name[name.index(".") :], form
    )
    for number, cell in enumerate(notebook.cells):
        cell.source = cell.source.replace(*edit) if edit[0] else cell.source
        cell.id = f"cell-{number}"
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text="said")]
            cell.metadata["collapsed"] = False
    notebook.metadata.kernelspec = {"name": "other", "display_name": "other", "language": "python"}
    return str(nbformat.writes(notebook))


def variants(source: str) -> dict[str, str]:
    return {
        "as it is": source,
        "without a final newline": source.rstrip("\n"),
        "with two": source + "\n",
        "CRLF": source.replace("\n", "\r\n"),
        "with a byte order mark": "\ufeff" + source,
    }


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_written_when_nothing_was_edited(name: str) -> None:
    """Running the cells of a copy is no edit, whatever Jupytext would write for its source."""
    for variant, source in variants(SOURCES[name]).items():
        assert edited_source(source, name, copy_of(source, name)) == source, variant


@pytest.mark.parametrize("name", SOURCES)
def test_an_edit_changes_its_line_alone(name: str) -> None:
    """Headers, markers of cells, other cells, ends of lines and the end of the file stay."""
    for variant, source in variants(SOURCES[name]).items():
        copy = copy_of(source, name, ("print(x)", "print(x, 'µ')"))
        assert edited_source(source, name, copy) == source.replace("print(x)", "print(x, 'µ')"), variant


@pytest.mark.parametrize("name", [name for name in SOURCES if "text" in SOURCES[name]])
def test_an_edit_of_text_changes_its_line_alone(name: str) -> None:
    """Prose is commented as the rest of the file is."""
    source = SOURCES[name]
    after = edited_source(source, name, copy_of(source, name, ("ext", "EXT")))
    assert after == source.replace("text\n", "tEXT\n").replace("*text*", "*tEXT*")


@pytest.mark.parametrize("name", ["percent.py", "short_header.py", "light.py", "plain.md", "plain.Rmd"])
def test_cells_that_join_or_leave_arrive(name: str) -> None:
    """The file then has the cells of the copy, and its header."""
    source = SOURCES[name]
    copy: Any = nbformat.reads(copy_of(source, name), 4)
    copy.cells.pop(1)
    copy.cells.append(nbformat.v4.new_code_cell("last = 1\n\nmore = 2"))
    extension = name[name.index(".") :]
    after = edited_source(source, name, nbformat.writes(copy))
    assert [cell.source for cell in jupytext_notebook(after, extension).cells] == [
        cell.source for cell in copy.cells
    ]
    assert after.splitlines()[:5] == source.splitlines()[:5] or "---" not in source


def test_a_tag_arrives_in_a_file_without_a_header() -> None:
    """Jupytext would drop it, as it drops all metadata of such a file."""
    source = "# %%\na = 1\n\n# %%\nprint(a)\n"
    copy: Any = nbformat.reads(copy_of(source, "a.py"), 4)
    copy.cells[0].metadata["tags"] = ["parameters"]
    assert edited_source(source, "a.py", nbformat.writes(copy)) == f'# %% tags=["parameters"]{source[4:]}'


def test_a_given_format_is_kept() -> None:
    """What Jupytext would take for a light script is read and written as the pipeline says."""
    source = SOURCES["gallery.py"]
    copy = copy_of(source, "a.py", ("print(x)", "print(2)"), form="py:sphinx")
    assert edited_source(source, "a.py", copy, "py:sphinx") == source.replace("print(x)", "print(2)")


@pytest.mark.parametrize("indent", [1, 2, 4])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_notebook_file_keeps_how_it_is_written(indent: int, newline: str, end: str) -> None:
    """Its indentation, ends of lines and end; without an edit it is the same file."""
    note: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1", id="a")])
    text = nbformat.writes(note, indent=indent).rstrip("\n")
    source = (text + end).replace("\n", newline)
    assert edited_source(source, "a.ipynb", nbformat.writes(note)) == source
    note.cells[0].source = "x = 2"
    assert edited_source(source, "a.ipynb", nbformat.writes(note)) == source.replace("x = 1", "x = 2")
