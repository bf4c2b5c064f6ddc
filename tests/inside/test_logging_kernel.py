"""The whole logging API, reads, modules and files from a real kernel, as the result of one attempt."""

from __future__ import annotations

import shutil
import tempfile

import pytest

from nbmake_dag.core.vocabulary import KernelStart
from nbmake_dag.execute.attempt import run_attempt
from nbmake_dag.execute.processes.cancellation import Cancellation
from nbmake_dag.execute.protocol import NotebookWork, Read
from nbmake_dag_cache.record import Access
from tests.support.attempts import left, write_lines

_CELLS = [
    """
import nbmake_dag as nbdag
import late_helper
from pathlib import Path
for step in range(3):
    nbdag.log_metric("loss", 1 / (step + 1), step)
nbdag.log_metrics({"auc": 0.9})
nbdag.log_param("lr", 0.1)
nbdag.set_tags({"model": "svm"})
""",
    """
import matplotlib.pyplot as plt
import pandas
figure, axes = plt.subplots()
axes.plot([1, 2])
nbdag.log_figure(figure, "figure.png")
nbdag.log_table(pandas.DataFrame({"a": [1]}), "table.json")
nbdag.log_text("text", "a/note.txt")
nbdag.log_dict({"a": 1}, "dict.json")
nbdag.log_artifact(b"bytes", "raw.bin")
nbdag.log_artifact("data")
""",
    """
above = nbdag.upstream()["above"]
assert (above.params["size"], above.metrics["auc"]) == (3, 0.5)
Path("out.txt").write_text(Path("data/in.txt").read_text())
1 / 0
""",
]


@pytest.fixture
def attempt(project):
    runtime = tempfile.mkdtemp(prefix="r", dir="/tmp")
    project.write("late_helper.py", "")
    project.write("data/in.txt", "in")

    def run(*cells, start: KernelStart = "warm"):
        project.write("notebook.py", "\n\n".join(f"# %%\n{cell}" for cell in cells))
        project.scratch.mkdir(exist_ok=True)
        counted = frozenset(range(len(cells)))
        work = NotebookWork(path="notebook.py", kernel="python3", start=start, counted=counted)
        above = left("above", params={"size": 3}, metrics={"auc": 0.5})
        lines = write_lines(project.scratch / "upstream.jsonl", [above])
        spec = project.spec(work, runtime=runtime, upstream=lines)
        return run_attempt(spec, lambda _: None, Cancellation())

    yield run
    shutil.rmtree(runtime)


@pytest.mark.parametrize("start", ["warm", "fresh"])
def test_all_that_a_notebook_logs_reads_imports_and_opens_is_in_its_result(attempt, start):
    """Also of one that fails in the end, however its kernel was started."""
    result = attempt(*_CELLS, start=start)
    assert (result.outcome, result.failure.type) == ("failed", "ZeroDivisionError")
    assert result.logged.metrics == {"loss": pytest.approx(1 / 3), "auc": 0.9}
    assert (result.logged.params, result.logged.tags) == ({"lr": 0.1}, {"model": "svm"})
    assert sorted(result.logged.artifacts) == [
        "a/note.txt",
        "data/in.txt",
        "dict.json",
        "figure.png",
        "raw.bin",
        "table.json",
    ]
    assert result.reads == (
        Read(task="above", kind="metrics", name="auc"),
        Read(task="above", kind="params", name="size"),
    )
    assert result.modules == ("late_helper.py",)
    assert result.accesses == (Access(path="data/in.txt", mode="read"), Access(path="out.txt", mode="write"))


def test_what_was_logged_before_a_kernel_died_is_kept(attempt):
    """A crash takes nothing with it that a call had returned from."""
    result = attempt("import nbmake_dag as nbdag, os, signal\nnbdag.log_metric('a', 1)\nos.kill(os.getpid(), 9)")
    assert result.outcome in {"failed", "lost"}
    assert result.logged.metrics == {"a": 1.0}


def test_the_same_notebook_runs_by_hand(project):
    """With no run around it: plain Jupyter, as its authors have it open."""
    import nbformat
    from nbclient import NotebookClient

    project.write("late_helper.py", "")
    project.write("data/in.txt", "in")
    cells = [nbformat.v4.new_code_cell(cell) for cell in _CELLS[:2]]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(project.root)}}).execute()
    printed = [output for cell in notebook.cells for output in cell.outputs if output.output_type == "stream"]
    assert printed == []
    files = {path.name for path in project.root.iterdir()} - {"__pycache__"}
    assert files == {"data", "late_helper.py"}
