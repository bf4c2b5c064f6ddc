"""Notebooks with deliberate errors, as a user builds and sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.project import Project

PIPELINE = '[tasks.a]\nnotebook = "a.{}"\noutputs = ["out.txt"]\n'
CODE = ["1 / 0\n", "open('out.txt', 'w').write('x')\n"]


def _ipynb(metadata: dict[str, Any]) -> str:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "source": code, "metadata": {}, "outputs": [], "execution_count": None}
        for code in CODE
    ]
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4})


@pytest.mark.parametrize(
    "metadata",
    [
        {"execution": {"allow_errors": True}},
        pytest.param({"allow_errors": True}, marks=pytest.mark.slow),
        pytest.param({"mystnb": {"execution_allow_errors": True}}, marks=pytest.mark.slow),
        pytest.param({"nbsphinx": {"allow_errors": True}}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_metadata_of_a_notebook_allow_its_errors(project: Project, metadata: dict[str, Any]) -> None:
    """Each way in which others read it; taking it out makes the task stale, and then it fails."""
    project.pipeline(PIPELINE.format("ipynb")).write("a.ipynb", _ipynb(metadata))
    project.build().ran("a").said("an allowed error (ZeroDivisionError in cell 1)")
    project.build().ran()
    project.write("a.ipynb", _ipynb({})).build().ended(1, failed=["a"])


def test_the_metadata_of_a_text_notebook_count_too(project: Project) -> None:
    """They stand in its header."""
    project.pipeline(PIPELINE.format("py"))
    header = "# ---\n# jupyter:\n#   execution:\n#     allow_errors: true\n# ---\n\n"
    project.write("a.py", header + "\n".join(f"# %%\n{code}" for code in CODE)).build().ran("a")


def test_a_task_key_overrules_the_metadata(project: Project) -> None:
    """With `false` the errors fail, with `true` they do not; what comes to the same is a hit."""
    project.write("a.ipynb", _ipynb({"execution": {"allow_errors": True}}))
    project.pipeline(PIPELINE.format("ipynb") + "allow_errors = false\n").build().ended(1, failed=["a"])
    project.pipeline(PIPELINE.format("ipynb")).build().ran("a")
    project.pipeline(PIPELINE.format("ipynb") + "allow_errors = true\n").build().ran()
    project.write("a.ipynb", _ipynb({})).build().ran()
    project.pipeline("[defaults]\nallow_errors = true\n" + PIPELINE.format("ipynb")).build().ran()


def test_allowed_errors_are_shown_as_such(project: Project) -> None:
    """In `show`, in the spans and on the site, whose failing cells have no such words."""
    project.pipeline(PIPELINE.format("ipynb")).write("a.ipynb", _ipynb({"allow_errors": True})).build().ran("a")
    shown = project.nbdag("show", "latest", "a").stdout
    assert "allowed errors  ZeroDivisionError in cell 1" in shown
    (trace,) = (project / ".nbdag/runs").glob("*/trace.otlp.jsonl")
    assert trace.read_text().count('"nbdag.cell.allowed_error"') == 1
    assert '"error.type"' not in trace.read_text()
    project.nbdag("report", "-o", "site")
    texts = [file.read_text() for file in (project / "site").rglob("*.js") if "app.js" not in file.name]
    assert sum('"allowed":true' in text.replace(" ", "") for text in texts) == 1


def test_the_key_is_for_notebooks(project: Project) -> None:
    """A function's exceptions are its failures."""
    project.pipeline('[tasks.a]\ncommand = "true"\nallow_errors = true\n').build().ended(2)
