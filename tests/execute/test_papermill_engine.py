"""papermill runs notebooks our way."""

import json

import nbformat
import papermill
import papermill.engines
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from nbmake_dag.execute.notebook.papermill_engine import NbdagEngine

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:papermill"),
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning"),
]


@pytest.fixture
def execute(tmp_path):
    """Execute cells with papermill, and return the notebook that it wrote."""
    papermill.engines.papermill_engines.register("nbdag", NbdagEngine)
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}

    def execute(*cells, **options):
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": spec})
        notebook.cells[0].metadata["tags"] = ["parameters"]
        nbformat.write(notebook, tmp_path / "in.ipynb")
        output = str(tmp_path / "out.ipynb")
        papermill.execute_notebook(
            str(tmp_path / "in.ipynb"), output, engine_name="nbdag", progress_bar=False, **options
        )
        return json.loads((tmp_path / "out.ipynb").read_text())

    return execute


def test_papermill_runs_a_notebook_with_our_engine(execute, tmp_path):
    """Parameters, outputs and papermill's own record are in the file that papermill writes."""
    with open(tmp_path / "printed", "w") as printed:
        notebook = execute("a = 1", "print(a)", parameters={"a": 5}, stdout_file=printed)
    assert [cell["metadata"]["papermill"]["status"] for cell in notebook["cells"]] == ["completed"] * 3
    assert notebook["cells"][2]["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["5\n"]}]
    assert notebook["metadata"]["language_info"]["name"] == "python"
    assert (tmp_path / "printed").read_text() == "5\n"


def test_papermill_hears_of_a_failure(execute, tmp_path):
    """A raising cell raises papermill's error, and what ran before is written."""
    with pytest.raises(papermill.PapermillExecutionError, match="division by zero"):
        execute("a = 1", "1 / 0", "print('never')")
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert [cell["metadata"].get("papermill", {}).get("status") for cell in cells][-2:] == ["failed", "pending"]
