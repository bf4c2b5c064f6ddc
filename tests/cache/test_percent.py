"""The reader of plain percent scripts, against Jupytext."""

from __future__ import annotations

import subprocess
import sys

import jupytext
import nbformat
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import NotebookSource, read_code, read_notebook
from nbmake_dag_cache.percent import read_plain_percent
from tests.support.examples import examples

HEADER = """# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.16.4
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---
"""
PLAIN = f'''{HEADER}
# %% [markdown]
# # A title
#
# ```python
# x = 1
# ```

# %% tags=["parameters"]
size = 100  # it's small


# %% Reading the data tags=["slow", "raises-exception"]
import numpy as np

def mean(values):
    """Return the mean.

    It's that of numpy.
    """
    return np.mean(values)
# %% [raw]
# <b>

# %%
'''
LINES = st.sampled_from(
    [
        "# %%",
        "# %%",
        "# %% ",
        "#%%",
        "  # %%",
        "# %%%",
        "# %% a title",
        "# %% .hidden",
        "# %% title=1",
        "# %% a.b (c), d",
        "# %% [markdown]",
        "# %% [md] a title",
        "# %% [raw]",
        '# %% [markdown] tags=["a"]',
        '# %% tags=["parameters"]',
        '# %% the title tags=["a", "b-c"]',
        '# %% tags=["active-py"]',
        '# %% tags=["injected-parameters"]',
        '# %% active="ipynb"',
        "# %% python",
        "# %% {}",
        "# %%time",
        "# In[1]:",
        "# <codecell>",
        "# + [markdown]",
        "# +",
        "",
        "",
        " ",
        "\t",
        "#",
        "# ",
        "# ---",
        "# jupyter:",
        "#   kernelspec:",
        "#     name: python3",
        "#     name: yes",
        "#     language: R",
        "# other: 1",
        "# text it's",
        "#text",
        "## two",
        "# # heading",
        "# cat and dog",
        "cat",
        "ls = 1",
        "# ls x",
        "# %matplotlib inline",
        "%matplotlib inline",
        "# # %time",
        "!ls",
        "# !ls",
        "x?",
        "# why?",
        "# why is that?",
        "?x",
        "x = !ls",
        "x = %time",
        "x != y",
        "# ```",
        "# ```python",
        "# ````",
        "# ~~~",
        "x = 1",
        "    y = 2",
        "def f():",
        "class A:",
        "@app.cell",
        "import marimo",
        "# {{{",
        "# region",
        "####################",
        '"""',
        "'''",
        '    """Doc it\'s."""',
        '    """Doc',
        '    ends."""',
        'x = """a""" + """b"""',
        'x = """a""""""b"""',
        'x = ""',
        "x = '\"'",
        'x = "#"',
        'x = """ # no comment',
        'x = r"""\\',
        "x = 'a' '''",
        '""""""',
        '# """',
        "x = '''\"\"\"",
        "#!/usr/bin/env python",
        "# -*- coding: utf-8 -*-",
        "# coding: latin-1",
        "x = \\",
        "\x0c",
        "x\u2028y",
        "é = 'ü'",
    ]
)
TEXTS = st.one_of(
    st.tuples(
        st.sampled_from(["", HEADER, HEADER + "\n", HEADER + "#\n", f"\n{HEADER}"]),
        st.lists(LINES, max_size=14),
        st.sampled_from(["", "\n", "\n\n"]),
    ).map(lambda parts: f"{parts[0]}{chr(10).join(parts[1])}{parts[2]}"),
    st.lists(st.text(st.sampled_from("#% \n\"'=[]a?!\\+-`"), max_size=12), max_size=8).map("\n".join),
)


def _by_jupytext(text: str) -> NotebookSource:
    return read_notebook(text.encode(), "a.py")


def _compared(source: NotebookSource) -> object:
    cells = [(cell.kind, cell.source, cell.tags) for cell in source.cells]
    return source.language, source.kernel, source.formats, source.allow_errors, cells


@examples(200)
@given(TEXTS)
@example(PLAIN)
@example('# %%\n"""\n# %%\n"""\n')
@example("# %% [markdown]\n# ````\n# ```\n# %%\n# ````\n")
def test_what_is_read_without_jupytext_is_read_alike(text):
    """Cells with their kinds, tags and texts, kernel, language and pairing, whatever a text looks like."""
    if read_plain_percent(text) is not None:
        assert _compared(_by_jupytext(text)) == _compared(read_code(text.encode(), "a.py"))
        assert identify(_by_jupytext(text)) == identify(read_code(text.encode(), "a.py"))


@examples(50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["code", "markdown", "raw"]),
            st.lists(LINES, max_size=4).map("\n".join),
            st.lists(
                st.sampled_from(["parameters", "raises-exception", "a b", "skip-execution"]),
                max_size=2,
                unique=True,
            ),
        ),
        max_size=5,
    )
)
def test_what_jupytext_writes_is_read_alike(cells):
    """The scripts of real notebooks, with the header and the escapes of Jupytext."""
    makers = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
        "raw": nbformat.v4.new_raw_cell,
    }
    spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
    notebook.cells = [makers[kind](text, metadata={"tags": tags} if tags else {}) for kind, text, tags in cells]
    written = jupytext.writes(notebook, "py:percent")
    if read_plain_percent(written) is not None:
        assert _compared(_by_jupytext(written)) == _compared(read_code(written.encode(), "a.py"))


@pytest.mark.parametrize(
    "text", [PLAIN, "# %%\nx = 1\n", "import os\n\n# %%\nx = 1\n", HEADER + "# %%\nx = '%'\n", "\n# %%\nprint(1)"]
)
def test_plain_scripts_are_read_without_jupytext(text):
    """Else the reader would be of no use; most scripts have such a header, or none."""
    assert read_plain_percent(text) is not None
    assert _compared(_by_jupytext(text)) == _compared(read_code(text.encode(), "a.py"))


def test_reading_a_plain_script_imports_no_jupytext():
    """What it costs to import is the reason for this reader."""
    program = (
        "import sys\nfrom nbmake_dag_cache.notebook import read_code\n"
        f"read_code({PLAIN.encode()!r}, 'a.py')\n"
        "print({'jupytext', 'nbformat', 'yaml', 'IPython'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
