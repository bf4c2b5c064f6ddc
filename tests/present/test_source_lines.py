"""The line of a notebook's file in which a line of a cell stands."""

from __future__ import annotations

import json

import pytest

from nbmake_dag.present.source_lines import line_in_file
from nbmake_dag_reporting.cell_ref import CellRef

PERCENT = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python
#     name: python3
# ---

# %% [markdown]
# # Title
# x = 1

# %%
x = 1

# %% tags=["parameters"]
# a comment
x = 1
y = 2

# %%
# %matplotlib inline
x = 1

# %%
"""
LIGHT_JULIA = """\
# A title

x = 1

y = 2
z = 3
"""
MARKDOWN = """\
# Title

```python
x = 1
```

```python
x = 1
y = 2
```
"""


def ipynb(indent: int | None) -> str:
    code = {"cell_type": "code", "metadata": {}, "execution_count": 1}
    printed = {"output_type": "stream", "name": "stdout", "text": ["é\n"]}
    cells = [
        {**code, "id": "a", "source": ["x = 1\n", 'print("é")'], "outputs": [printed]},
        {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "x = 1"},
        {**code, "id": "c", "source": ["\n", "x = 1\n", "y = 2"], "outputs": []},
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=indent, ensure_ascii=False)


@pytest.mark.parametrize(
    ("path", "text", "cell", "line", "place"),
    [
        ("a.py", PERCENT, 1, 1, 13),
        ("a.py", PERCENT, 2, 2, 17),
        ("a.py", PERCENT, 2, 3, 18),
        ("a.py", PERCENT, 3, 1, 21),
        ("a.py", PERCENT, 3, 2, 22),
        ("a.jl", LIGHT_JULIA, 2, 2, 6),
        ("a.md", MARKDOWN, 2, 2, 9),
        ("a.ipynb", ipynb(1), 0, 2, 10),
        ("a.ipynb", ipynb(1), 2, 3, 36),
    ],
)
def test_a_line_of_a_cell_is_found_in_its_file(path, text, cell, line, place):
    """The same statement in an earlier cell, a title or a comment is not taken for it."""
    assert place == line_in_file(text.encode(), path, CellRef(cell), line), text


@pytest.mark.parametrize(
    ("path", "text"), [("a.ipynb", ipynb(None)), ("a.ipynb", "{"), ("a.py", ""), ("a.py", "# %%\nx = 1\n")]
)
def test_what_cannot_be_found_has_no_line(path, text):
    """A notebook written in one line, one that is damaged, and one that has changed meanwhile."""
    assert line_in_file(text.encode(), path, CellRef(2), 2) is None
