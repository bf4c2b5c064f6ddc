"""Reading notebooks: `.ipynb` of any version, and text by Jupytext."""

from __future__ import annotations

import contextlib
import json

import jupytext
import msgspec
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import Cell, NotebookSource, UnreadableNotebookError, read_notebook
from tests.support.examples import examples


def _ipynb(*cells, **changes):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **changes}


def _code(source, **changes):
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], **changes}


def _read(document, path="a.ipynb"):
    return read_notebook(json.dumps(document).encode(), path)


def _error(data, path="a.ipynb"):
    with pytest.raises(UnreadableNotebookError) as caught:
        read_notebook(data, path)
    return str(caught.value)


def test_a_notebook_without_its_results():
    """Everything its author wrote is read, and nothing that running left."""
    metadata = {"kernelspec": {"name": "xpython", "display_name": "X"}, "language_info": {"name": "Python"}}
    document = _ipynb(
        {"cell_type": "markdown", "source": ["# A\n", "b"], "attachments": {"a.png": {"image/png": "AA=="}}},
        _code("x = 1", id="one", metadata={"tags": ["parameters", "slow"]}, outputs=[{"output_type": "error"}]),
        _code("x = 2", metadata={"tags": ["injected-parameters"]}),
        {"cell_type": "raw", "source": "", "metadata": {"format": "text/html"}},
        metadata=metadata,
    )
    expected = NotebookSource(
        language="python",
        kernel="xpython",
        cells=(
            Cell(kind="markdown", source="# A\nb", attachments={"a.png": {"image/png": "AA=="}}),
            Cell(
                kind="code",
                source="x = 1",
                tags=("parameters", "slow"),
                metadata={"tags": ["parameters", "slow"]},
                identifier="one",
            ),
            Cell(kind="raw", source="", metadata={"format": "text/html"}),
        ),
        metadata=metadata,
    )
    assert expected == _read(document)
    assert _read(document).parameters_index == 1


def test_text_by_jupytext():
    """A text notebook has cells, tags and a kernel; identifiers that Jupytext makes up are not kept."""
    text = (
        "# ---\n# jupyter:\n#   kernelspec:\n#     display_name: P\n#     language: python\n#     name: p3\n"
        "# ---\n\n"
        '# %% [markdown]\n# # A\n\n# %% tags=["parameters"]\nx = 1\n\n# %%\n# %time f(x)\n'
    )
    notebook = read_notebook(text.encode(), "folder/a.py")
    expected = (
        Cell(kind="markdown", source="# A"),
        Cell(kind="code", source="x = 1", tags=("parameters",), metadata={"tags": ["parameters"]}),
        Cell(kind="code", source="%time f(x)"),
    )
    assert (notebook.language, notebook.kernel, notebook.cells) == ("python", "p3", expected)


@pytest.mark.parametrize(
    ("metadata", "language", "kernel"),
    [
        ({}, "python", None),
        ({"kernelspec": {"name": "python3"}}, "python", "python3"),
        ({"kernelspec": {"name": "ir"}}, "", "ir"),
        ({"kernelspec": {"name": "ir", "language": "R"}}, "r", "ir"),
        ({"kernelspec": {"name": "x", "language": "old"}, "language_info": {"name": "bash"}}, "bash", "x"),
    ],
)
def test_language_and_kernel(metadata, language, kernel):
    """What the notebook declares, Python where it declares nothing, no guess where only a kernel is named."""
    notebook = _read(_ipynb(metadata=metadata))
    assert (notebook.language, notebook.kernel) == (language, kernel)


def test_language_of_a_text_notebook():
    """The extension tells the language of a text that names no kernel."""
    assert read_notebook(b"x <- 1\n", "a.R").language == "r"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + json.dumps(_ipynb(_code("x"))).encode(),
        json.dumps(_ipynb(_code("x", id="a"), _code("y", id="a"))).encode(),
        json.dumps(_ipynb(_code("x", outputs=7))).encode(),
        json.dumps(_ipynb(_code("x", outputs=[{"data": float("nan")}]))).encode(),
        json.dumps(_ipynb(_code("x"), nbformat_minor=99)).encode(),
        json.dumps(_ipynb({"cell_type": "code", "source": "x"})).encode(),
    ],
    ids=["byte order mark", "duplicate ids", "bad outputs", "NaN in outputs", "minor version", "no metadata"],
)
def test_what_does_not_matter_is_not_checked(data):
    """A notebook is read whose faults touch nothing that runs."""
    assert read_notebook(data, "a.ipynb").cells[0].source == "x"


@pytest.mark.parametrize("version", [2, 3])
def test_old_formats_are_upgraded(version):
    """Notebooks of nbformat 2 and 3 are read as those of 4."""
    sheet = {"cells": [{"cell_type": "code", "language": "python", "input": "x = 1\ny", "outputs": []}]}
    document = {"nbformat": version, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [sheet]}
    assert [cell.source for cell in _read(document).cells] == ["x = 1\ny"]


def _nested(levels):
    value: dict[str, object] = {}
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "Expecting value: line 1 column 1 (char 0)"),
        (b'{"cells": [', "Expecting value: line 1 column 12 (char 11)"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "Object missing required field `nbformat`"),
        (b'{"nbformat": 99, "cells": []}', "its format is nbformat 99, and 4 is the newest known"),
        (b'{"nbformat": 4}', "Object missing required field `cells`"),
        (
            json.dumps(_ipynb({"cell_type": "code"})).encode(),
            "Object missing required field `source` - at `$.cells[0]`",
        ),
        (
            json.dumps(_ipynb(_code("x"), _code(7))).encode(),
            "Expected `str | array`, got `int` - at `$.cells[1].source`",
        ),
        (
            json.dumps(_ipynb(_code("x", cell_type="heading"))).encode(),
            "Invalid enum value 'heading' - at `$.cells[0].cell_type`",
        ),
        (
            json.dumps(_ipynb(_code("x", metadata={"tags": "parameters"}))).encode(),
            "the metadata of cell 1: Expected `array`, got `str` - at `tags`",
        ),
        (
            json.dumps(_ipynb() | {"metadata": _nested(250)}).encode(),
            "its metadata is nested deeper than 200",
        ),
        (
            json.dumps(_ipynb(_code("x"), _code("x", metadata=_nested(250)))).encode(),
            "the metadata of cell 2 is nested deeper than 200",
        ),
        (
            b'{\n "cells": [\n<<<<<<< HEAD\n =======\n>>>>>>> other\n ]\n}',
            "line 3 is a conflict marker of git: resolve the merge",
        ),
        (b'{\n "cells": <\n}', "Expecting value: line 2 column 11 (char 12)"),
        (b"\xff\xfe", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_sentence(data, reason):
    """The message names the file, and what is wrong with it where."""
    assert _error(data) == f"a.ipynb cannot be read as a notebook: {reason}"


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"[" * 100_000, "a.ipynb"),
        (b'{"nbformat": 3, "worksheets": 7}', "a.ipynb"),
        (b'{"nbformat": 0}', "a.ipynb"),
        (b"x", "a.unknown"),
        (b"# ---\n# jupyter:\n#   kernelspec: 7\n# ---\n", "a.py"),
        (b"---\njupyter:\n  jupytext: 7\n---\n", "a.md"),
        (b"\xff", "a.py"),
    ],
)
def test_nothing_but_unreadable_is_raised(data, path):
    """Whatever Jupytext or nbformat raise, the user sees one line that names the file."""
    message = _error(data, path)
    assert message.startswith(f"{path} cannot be read as a notebook: ")
    assert "\n" not in message


TAGGED = _code("x = 1", metadata={"tags": ["parameters"]})
SEED = json.dumps(_ipynb(TAGGED, _code("%time\nf'{x}'")), indent=1).encode()


@examples(500)
@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.binary(max_size=3), st.integers(0, 4)), max_size=4))
def test_any_damage_is_read_or_refused(edits):
    """A damaged notebook is read and identified, or refused as unreadable; nothing else happens."""
    data = bytearray(SEED)
    for position, inserted, removed in edits:
        data[position : position + removed] = inserted
    with contextlib.suppress(UnreadableNotebookError):
        identify(read_notebook(bytes(data), "a.ipynb"))


CODE = st.sampled_from(
    [
        "x = 1",
        "f(x);",
        "# only a comment",
        "%matplotlib inline",
        "%time f()",
        "!ls -l",
        "files = !ls",
        "%%bash\nls\n\necho $HOME # a",
        "%%time\nf()\n",
        "f?",
        "?f",
        'x = """a\n\n# %%\nb\n   \n%time c\n"""',
        "'''\n# +\n'''",
        "def f(x):\n\n\n    return x\n\n\nf(2)",
        "class A:\n    pass\n\n\n# end",
        "if x:\n    %time f()\n    !ls",
        "# %%time is a comment",
        "x = 'é\\n'",
        "not python at all",
        "cat = 1\nls",
        "",
        "await f()",
        "# %% not a cell",
    ]
)
CELLS: st.SearchStrategy[tuple[str, str, list[str]]] = st.one_of(
    st.tuples(st.just("code"), CODE, st.sampled_from([[], ["parameters"], ["raises-exception"], ["slow", "a b"]])),
    st.tuples(st.just("markdown"), st.sampled_from(["# A\n\nb", "```python\nx\n```", "", "%time"]), st.just([])),
    st.tuples(st.just("raw"), st.sampled_from(["<b>", "x = 1\n\ny"]), st.just([])),
)
KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


@examples(300)
@given(st.lists(CELLS, max_size=6), st.sampled_from(["py:percent", "py:hydrogen", "md", "py:light"]))
def test_text_and_ipynb_of_one_notebook_have_one_identity(cells, form):
    """What Jupytext makes of a notebook counts as the notebook itself."""
    makers = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
        "raw": nbformat.v4.new_raw_cell,
    }
    notebook = nbformat.v4.new_notebook(metadata=KERNEL)
    notebook.cells = [makers[kind](text, metadata={"tags": tags} if tags else {}) for kind, text, tags in cells]
    written = jupytext.writes(notebook, form).encode()
    text = identify(read_notebook(written, "a." + form.partition(":")[0]))
    ipynb = identify(read_notebook(nbformat.writes(notebook).encode(), "a.ipynb"))
    assert list(text.ingredients()) == list(ipynb.ingredients())
    assert (text.language, text.kernel, text.parameters) == (ipynb.language, ipynb.kernel, ipynb.parameters)


def test_a_source_can_be_written_as_json():
    """Metadata that Jupytext gives are plain values."""
    notebook = read_notebook(b'# %% tags=["a"]\nx\n', "a.py")
    assert msgspec.json.decode(msgspec.json.encode(notebook), type=NotebookSource) == notebook


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("a.py", "# ---\n# jupyter:\n#   kernelspec:\n#     name: k\n# ---\n\n# %%\n{}\n"),
        ("a.py", "# -*- coding: utf-8 -*-\n# ---\n# jupyter:\n#   kernelspec: {{ name: k }}\n# ---\n\n# %%\n{}\n"),
        ("a.py", "# ---\r\n# jupyter:\r\n#   kernelspec:\r\n#     name: k\r\n# ---\r\n\r\n# %%\r\n{}\r\n"),
        ("a.py", "# ---\n# jupyter:\n#   kernelspec:\n#     language: python\n#     name: k\n# ---\n\n# %%\n{}\n"),
        ("a.md", "---\njupyter:\n  kernelspec:\n    name: k\n  other: 1\n---\n\n```python\n{}\n```\n"),
        ("a.R", "# ---\n# jupyter:\n#   kernelspec:\n#     name: k\n# ---\n\n# %%\n{}\n"),
        ("a.jl", "# ---\n# jupyter:\n#   kernelspec:\n#     name: k\n# ---\n\n# %%\n{}\n"),
    ],
)
def test_a_header_may_name_a_kernel_and_no_more(path, header):
    """The name for people, which nbformat's schema demands, is added for Jupytext; code stays as it is."""
    code = 'x = """\nkernelspec:\n  name: other\n"""'
    found = read_notebook(header.format(code).encode(), path)
    assert (found.kernel, [cell.source for cell in found.cells]) == ("k", [code])


def test_a_lone_surrogate_in_text_becomes_a_replacement_character():
    """Markdown and metadata that UTF-8 cannot hold are read, as Jupyter shows them."""
    markdown = {"cell_type": "markdown", "source": ["a\ud83d"], "metadata": {}}
    found = _read(_ipynb(markdown, metadata={"title": "\udc00"}))
    assert (found.cells[0].source, found.metadata) == ("a\ufffd", {"title": "\ufffd"})


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (_ipynb(_code("'\ud83d'")), "the code of cell 1 holds the lone surrogate U+D83D"),
        (
            _ipynb(_code("1"), metadata={"kernelspec": 5}),
            "its metadata: Expected `object`, got `int` - at `kernelspec`",
        ),
    ],
)
def test_what_cannot_be_read_is_named(document, reason):
    """The message has the file, the cell where it is one, and the reason."""
    with pytest.raises(UnreadableNotebookError) as raised:
        _read(document)
    assert str(raised.value) == f"a.ipynb cannot be read as a notebook: {reason}"
