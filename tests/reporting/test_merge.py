"""The executed notebook as it is now: present text, kept outputs."""

import json

import nbformat
import pytest

from nbmake_dag_reporting.notebook import (
    CellMismatchError,
    SourceCell,
    SourceNotebook,
    encode_notebook,
    merge,
)

STREAM = {"output_type": "stream", "name": "stdout", "text": "one\ntwo\n"}
KEPT = [{"outputs": [], "execution_count": 1}, {"outputs": [STREAM], "execution_count": 3}]
SOURCE = SourceNotebook(
    cells=(
        SourceCell(kind="markdown", source="# New\ntext", attachments={"a.png": {"image/png": "aGk="}}),
        SourceCell(kind="code", source="n = 1", counted=0, metadata={"tags": ["parameters"]}),
        SourceCell(kind="code", source="# only a comment"),
        SourceCell(kind="code", source="print(n)  # new", counted=1, identifier="mine"),
    ),
    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    parameters_index=1,
)


def test_outputs_stand_below_the_cells_that_count() -> None:
    """By their order among these; the injected cell follows that of the parameters, as papermill has it."""
    document = merge(SOURCE, KEPT, "n = 2")
    assert [(cell["id"], cell["source"], cell.get("execution_count")) for cell in document["cells"]] == [
        ("cell-0", "# New\ntext", None),
        ("cell-1", "n = 1", 1),
        ("injected-parameters", "n = 2", None),
        ("cell-2", "# only a comment", None),
        ("mine", "print(n)  # new", 3),
    ]
    assert [cell.get("outputs") for cell in document["cells"]] == [None, [], [], [], [STREAM]]
    assert document["cells"][2]["metadata"] == {"tags": ["injected-parameters"]}


def test_without_a_parameters_cell_they_come_first() -> None:
    """As papermill does; without parameters there is no such cell."""
    bare = SourceNotebook(cells=(SourceCell(kind="code", source="x", counted=0),))
    assert [cell["source"] for cell in merge(bare, KEPT[:1], "n = 2")["cells"]] == ["n = 2", "x"]
    assert [cell["source"] for cell in merge(bare, KEPT[:1])["cells"]] == ["x"]


def test_outputs_of_another_notebook_are_refused() -> None:
    """They would stand below the wrong cells."""
    with pytest.raises(
        CellMismatchError, match="has 2 cells that count, the outputs that are kept are those of 1"
    ):
        merge(SOURCE, KEPT[:1])


def test_the_file_is_what_jupyter_writes() -> None:
    """It is valid, and saving it in Jupyter changes no byte."""
    data = encode_notebook(merge(SOURCE, KEPT, "n = 2"))
    notebook = nbformat.reads(data.decode(), as_version=4)
    nbformat.validate(notebook)
    assert nbformat.writes(notebook) + "\n" == data.decode()


def test_any_text_can_be_written() -> None:
    """A half of a surrogate pair, which ipynb can hold and UTF-8 cannot, stays an escape."""
    source = SourceNotebook(cells=(SourceCell(kind="raw", source="\ud83d"),))
    assert json.loads(encode_notebook(merge(source, [])))["cells"][0]["source"] == ["\ud83d"]
