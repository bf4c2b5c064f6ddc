"""Running one notebook in a real kernel: what it is given, and what is kept of what it shows."""

import json
import re
import subprocess
import sys
from typing import Any

import nbformat
import pytest

from nbmake_dag.execute.protocol import CellEnded, CellStarted, Printed
from nbmake_dag_reporting.cell_ref import CellRef
from tests.support.notebook_runs import text


def test_outputs_are_kept_for_every_cell_that_counts(run):
    """Each counted cell has its outputs and its count, and the executed notebook has the same."""
    ran = run("\nx = 20", " [markdown]\n# title", "\nprint(x)\nx + 1")
    expected = [
        {"outputs": [], "execution_count": 1},
        {"outputs": [], "execution_count": None},
        {
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "20\n"},
                {
                    "output_type": "execute_result",
                    "metadata": {},
                    "data": {"text/plain": "21"},
                    "execution_count": 2,
                },
            ],
            "execution_count": 2,
        },
    ]
    assert (ran.run.outcome, ran.run.failure, ran.run.exit_code, ran.outputs) == ("succeeded", None, 0, expected)
    assert [cell["cell_type"] for cell in ran.cells] == ["code", "markdown", "code"]


def test_events_tell_of_every_cell_while_it_runs(run):
    """Cells begin and end in order, and what they print comes between."""
    ran = run("\nx = 1", " [markdown]\ntext", "\n\n# begin\nprint('hello')")
    told = [(type(event).__name__, event.cell, getattr(event, "text", None)) for event in ran.events]
    assert told == [
        ("CellStarted", CellRef(0), None),
        ("CellEnded", CellRef(0), None),
        ("CellStarted", CellRef(2), None),
        ("Printed", CellRef(2), "hello\n"),
        ("CellEnded", CellRef(2), None),
    ]
    first, last = [event for event in ran.events if isinstance(event, CellStarted)]
    assert (first.position, first.total, last.position, last.first_line) == (1, 2, 2, "# begin")
    assert [run.cell.index for run in ran.run.cells] == [0, 2]


def test_parameters_are_assigned_after_the_parameters_cell(run):
    """Every value arrives with its type, in a cell of which nothing is reported."""
    values = {"a": 'x"\\\n', "b": 1.0, "c": True, "d": None, "e": [1, {"k": "v"}], "f": float("inf")}
    ran = run(' tags=["parameters"]\na = 0', "\nprint([a, b, c, d, e, f])", parameters=values)
    assert text(*ran.outputs) == str(list(values.values())) + "\n"
    assert [cell["id"] for cell in ran.cells] == ["cell-0", "injected-parameters", "cell-1"]
    assert [event.cell.index for event in ran.events if isinstance(event, CellEnded)] == [0, 1]


def test_inputs_and_outputs_are_assigned_where_the_notebook_takes_them(run):
    """Declared paths arrive with the parameters."""
    ran = run(
        "\nprint(inputs, outputs)",
        inputs={"a": "x.csv", "b": ["1", "2"]},
        outputs=["y"],
        inject_inputs=True,
        inject_outputs=True,
    )
    assert text(*ran.outputs) == "{'a': 'x.csv', 'b': ['1', '2']} ['y']\n"


@pytest.mark.parametrize(
    "parameters",
    [{"a; import os": 1}, {"class": 1}, {"a": {1: 2}}, {"a": b"x"}, {"a": "\ud800"}, {"é-": 1}, {"a": {"b": {1}}}],
)
def test_parameters_that_have_no_safe_spelling_are_refused(run, parameters):
    """A name or value that could become other code fails the notebook before any cell."""
    ran = run("\nx = 1", parameters=parameters)
    assert (ran.run.outcome, ran.run.failure.type, ran.run.cells) == ("failed", "ParameterError", ())


def test_outputs_are_shown_as_they_end(run):
    """Progress bars, cleared outputs and updated displays leave their last state."""
    ran = run(
        "\nfor i in range(3): print(f'\\r{i} %', end='', flush=True)\nprint()",
        "\nfrom IPython.display import clear_output\nprint('old')\nclear_output(wait=True)\nprint('new')",
        "\nfrom IPython.display import display\nd = display('one', display_id=True)\nd.update('two')",
    )
    assert [text(cell) for cell in ran.outputs[:2]] == ["2 %\n", "new\n"]
    assert [each["data"]["text/plain"] for each in ran.outputs[2]["outputs"]] == ["'two'"]


def test_what_is_too_much_is_cut_and_said(run):
    """A notebook stays one that can be opened, and the run goes on."""
    ran = run(
        "\nfor _ in range(40): print('x' * 99_999)",
        "\nfrom IPython.display import HTML\ndisplay(HTML('x' * (17 << 20)))\nprint('on')",
    )
    printed = text(ran.outputs[0])
    assert len(printed) < 1.01 * (1 << 20)
    assert printed.endswith("\n[nbdag left out more text: the limit is 1 MiB]\n")
    assert text(ran.outputs[1]).strip() == "[nbdag left out an output of 17408 KiB: the limit is 16 MiB]\non"
    assert sum(len(event.text) for event in ran.events if isinstance(event, Printed)) < 1.01 * (1 << 20)
    assert max(len(event.text) for event in ran.events if isinstance(event, Printed)) <= 1 << 14


def test_what_is_too_deep_is_left_out_and_said(run):
    """What reads and writes notebooks could not hold it, and the other outputs would be lost with it."""
    show = """
def deep(levels):
    value = "end"
    for _ in range(levels):
        value = {"in": [value]}
    return {"application/json": value}
"""
    ran = run(
        f"{show}display(deep(95), raw=True)",
        "\ndisplay(deep(400), raw=True)\nprint('on')",
        "\nd = display(deep(1), raw=True, display_id=True)\nd.update(deep(400), raw=True)",
    )
    assert ran.run.outcome == "succeeded", ran.run.failure
    assert json.dumps(ran.outputs[0]["outputs"][0]["data"]).count("in") == 95
    assert text(ran.outputs[1]).strip() == "[nbdag left out an output: it is nested deeper than 200]\non"
    assert [each["data"]["application/json"] for each in ran.outputs[2]["outputs"]] == [{"in": ["end"]}]


@pytest.mark.slow
def test_a_storm_of_displays_loses_nothing_but_what_is_said(run):
    """Messages that come faster than they are read are not dropped."""
    ran = run("\nfrom IPython.display import display\nfor i in range(5_000): display(i)", "\nprint('on')")
    assert ran.run.failure is None
    shown = [each["data"]["text/plain"] for each in ran.outputs[0]["outputs"]]
    assert shown == [str(number) for number in range(5_000)]


def test_an_unknown_kernel_is_named_with_those_that_exist(run):
    """The failure can be acted on."""
    ran = run("\nx = 1", kernel="nope")
    assert (ran.run.outcome, ran.run.failure.type) == ("failed", "NoSuchKernel")
    assert ran.run.failure.message.startswith("there is no kernel 'nope'; known: ")
    assert "python3" in ran.run.failure.message


def test_a_notebook_that_cannot_be_read_is_a_failure(run, tmp_path):
    """So is one that is missing."""
    (tmp_path / "a.ipynb").write_text("{")
    assert run(name="a.ipynb").run.failure.type == "UnreadableNotebookError"
    assert run(name="none.py").run.failure.type == "FileNotFoundError"


@pytest.mark.parametrize(
    ("display", "kept"),
    [
        ("{'text/plain': 5}", {"text/plain": "5"}),
        ("{'text/html': None, 'application/json': {'a': 1}}", {"text/html": "null", "application/json": {"a": 1}}),
        ("{'text/plain': ['a', 1]}", {"text/plain": '["a", 1]'}),
        ("{'application/x+json': [1, 2], 'image/png': 3}", {"application/x+json": [1, 2], "image/png": "3"}),
    ],
)
def test_a_display_that_nbformat_refuses_is_kept_as_text(run, display, kept):
    """What a display sends is the notebook's business: it neither fails the attempt nor breaks the file."""
    ran = run(f"\nfrom IPython.display import display\ndisplay({display}, raw=True)", "\nprint('goes on')")
    nbformat.validate(json.loads(ran.run.notebook))
    assert (ran.run.outcome, ran.outputs[0]["outputs"][0]["data"]) == ("succeeded", kept)
    assert text(ran.outputs[1]) == "goes on\n"


NOTEBOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}


BROKEN = """
class Broken:
    def _repr_html_(self):
        raise ValueError("no such column")
"""


@pytest.mark.parametrize(
    "code", [f"{BROKEN}Broken()", f"{BROKEN}display(Broken())", f"{BROKEN}for _ in 'ab': display(Broken())"]
)
def test_a_display_that_raises_fails_by_its_own_exception(run, code):
    """The reply of ipykernel names no exception then; the failure is the one that IPython shows."""
    failure = run(code).run.failure
    assert (failure.type, failure.message) == ("ValueError", "no such column")
    assert "no such column" in failure.traceback


@pytest.mark.parametrize(
    "notebook",
    [
        {"cells": [{"id": "my cell"}]},
        {"cells": [{"id": "i" * 120}]},
        {"cells": [{"id": None}]},
        {"cells": [{"id": "a"}, {"id": "a"}]},
        {"cells": [{}], "metadata": {"kernelspec": {}}},
        {"cells": [{}], "metadata": {"kernelspec": {"name": "python3"}, "title": "\ud83d"}},
        {"cells": [{"cell_type": "markdown", "source": "\ud83d"}, {}]},
        {"cells": [{"metadata": {"collapsed": "no", "name": 5}}]},
    ],
)
def test_notebooks_that_nbformat_refuses_run(run, tmp_path, notebook):
    """What Jupyter and papermill execute is executed; in the executed notebook every cell has a valid id."""
    code: dict[str, Any] = {
        "cell_type": "code",
        "source": "print(1)",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    document = {**NOTEBOOK, **notebook, "cells": [{**code, **cell} for cell in notebook["cells"]]}
    (tmp_path / "a.ipynb").write_text(json.dumps(document))
    ran = run(name="a.ipynb")
    assert (ran.run.outcome, text(*ran.outputs)[:2]) == ("succeeded", "1\n")
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", cell["id"]) for cell in ran.cells)


@pytest.mark.parametrize("name", ["größe", "λ", "变量", "ﬁ"])
def test_every_identifier_can_be_a_parameter(run, name):
    """Python's identifiers may have letters of any script; they are read in their normal form."""
    ran = run(f"\nprint({name})", parameters={name: 5})
    assert (ran.run.outcome, text(*ran.outputs)) == ("succeeded", "5\n")


@pytest.mark.filterwarnings("ignore:Passing unrecognized arguments:DeprecationWarning")  # by its kernelspec
def test_bash_notebooks_run(run, tmp_path, monkeypatch):
    """A kernel of another language is started by its kernelspec, with parameters in its language.

    Where it tells nothing of a failure, what the cell printed stands for its traceback.
    """
    subprocess.run([sys.executable, "-m", "bash_kernel.install", "--prefix", str(tmp_path / "bash")], check=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "bash" / "share" / "jupyter"))
    cells = ["", "echo $name", "echo 'no such sample' >&2; false"]
    nb = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "bash", "display_name": "Bash", "language": "bash"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{i}",
                "metadata": {},
                "source": c,
                "outputs": [],
                "execution_count": None,
            }
            for i, c in enumerate(cells)
        ],
    }
    (tmp_path / "a.ipynb").write_text(json.dumps(nb))
    ran = run(name="a.ipynb", kernel="bash", parameters={"name": "it's"})
    assert "".join(ran.cells[2]["outputs"][0]["text"]) == "it's\n"
    failure = ran.run.failure
    assert (failure.cell, failure.traceback) == (CellRef(2), "no such sample\n")


def test_the_process_is_prepared_for_its_task(run, tmp_path):
    """Local modules are found from root and notebook; what was opened and earlier places are noted."""
    for folder, name in ((tmp_path, "at_root"), (tmp_path / "sub", "beside")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text("")
    (tmp_path / "data.txt").write_text("1")
    (tmp_path / "sub" / "n.py").write_text("# %%\nimport at_root, beside\nprint(open('data.txt').read(), dir())")
    names = {"NBDAG_ROOT": "", "NBDAG_REPOSITORY": "", "NBDAG_ACCESS": "/access", "NBDAG_LOG": "/log"}
    ran = run(name="sub/n.py", env={name: f"{tmp_path}{path}" for name, path in names.items()})
    assert ran.run.failure is None
    assert text(*ran.outputs).startswith("1 ['In', 'Out', '_', '__',")
    assert "_start" not in text(*ran.outputs)
    assert [json.loads(line)["path"] for line in (tmp_path / "access").read_text().splitlines()] != []
    modules = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    decisive = {
        "at_root.py": ["at_root/__init__.py"],
        "sub/beside.py": ["beside.py", "beside/__init__.py", "sub/beside/__init__.py"],
    }
    assert modules == [{"kind": "modules", "paths": ["at_root.py", "sub/beside.py"], "decisive": decisive}]


def test_what_it_cost_is_measured(run):
    """CPU time and the largest memory of all processes are known."""
    ran = run(
        "\nimport time\ndata = bytearray(200_000_000)\nend = time.process_time() + .3\n"
        "while time.process_time() < end: pass"
    )
    assert ran.run.cpu_s > 0.3
    assert ran.run.peak_rss > 200_000_000
