"""The identity of a notebook: what in its text makes a task stale, and what does not."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from nbmake_dag_cache.computed_imports import Import
from nbmake_dag_cache.identity import FORMAT, NotebookIdentity, identify, identity_schema
from nbmake_dag_cache.imports import Imports
from nbmake_dag_cache.key import Ingredient, key_of
from nbmake_dag_cache.notebook import Cell, NotebookSource


def _code(source, *tags):
    return Cell(kind="code", source=source, tags=tags)


def _text(source, *tags):
    return Cell(kind="markdown", source=source, tags=tags)


def _identify(*cells, language="python"):
    return identify(NotebookSource(language=language, kernel=None, cells=cells))


def _key(*cells, language="python"):
    return key_of(_identify(*cells, language=language).ingredients())


BASE = (_text("# A"), _code("import b\nx = 1", "parameters"), _code("# comment"), _code("f(x)\ng(x)"))
TITLE, PARAMETERS, COMMENT, WORK = BASE

INVALIDATES = {
    "code": (TITLE, PARAMETERS, COMMENT, _code("f(x)\ng(y)")),
    "type of a constant": (TITLE, _code("import b\nx = 1.0", "parameters"), COMMENT, WORK),
    "a new cell": (*BASE, _code("pass")),
    "a cell that does not parse": (*BASE, _code("a b")),
    "a removed cell": (TITLE, PARAMETERS, COMMENT),
    "a boundary between cells": (TITLE, PARAMETERS, _code("f(x)"), _code("g(x)")),
    "order of cells": (TITLE, WORK, PARAMETERS),
    "trailing semicolon": (TITLE, PARAMETERS, _code("f(x)\ng(x);")),
    "a cell as markdown": (TITLE, PARAMETERS, _text("f(x)\ng(x)")),
    "a cell as raw text": (TITLE, PARAMETERS, Cell(kind="raw", source="f(x)\ng(x)")),
    "tag raises-exception": (TITLE, PARAMETERS, _code("f(x)\ng(x)", "raises-exception")),
    "tag skip-execution": (TITLE, PARAMETERS, _code("f(x)\ng(x)", "skip-execution")),
    "tag parameters gone": (TITLE, _code("import b\nx = 1"), WORK),
    "tag parameters elsewhere": (TITLE, _code("import b\nx = 1"), _code("f(x)\ng(x)", "parameters")),
}

DOES_NOT_INVALIDATE = {
    "comment": (TITLE, PARAMETERS, COMMENT, _code("# why\nf(x)\n\n# how\ng(x)")),
    "formatting": (TITLE, _code("import b\n\n\nx=1", "parameters"), _code("f( x )\ng(\n    x,\n)\n")),
    "markdown": (_text("# B"), PARAMETERS, _text("new"), WORK),
    "no markdown": (PARAMETERS, WORK),
    "raw cells": (*BASE, Cell(kind="raw", source="x")),
    "code cells without a statement": (*BASE, _code(""), _code("# end\n")),
    "a skipped cell": (*BASE, _code("h(", "skip-execution")),
    "ids, metadata and attachments": tuple(
        msgspec.structs.replace(cell, identifier=f"id{index}", metadata={"collapsed": True}, attachments={"a": 1})
        for index, cell in enumerate(BASE)
    ),
    "other tags": (TITLE, _code("import b\nx = 1", "parameters", "slow"), _code("f(x)\ng(x)", "hide-input")),
    "a second cell with the tag parameters": (TITLE, PARAMETERS, _code("f(x)\ng(x)", "parameters")),
    "the tag on a comment in the same place": (_code("import b\nx = 1"), _code("# here", "parameters"), WORK),
    "the tag on markdown in the same place": (_code("import b\nx = 1"), _text("here", "parameters"), WORK),
}


@pytest.mark.parametrize("cells", [pytest.param(cells, id=name) for name, cells in INVALIDATES.items()])
def test_what_executes_differently_is_stale(cells):
    """Code, its division into cells, and tags that change execution are in the key."""
    assert _key(*BASE) != _key(*cells)


@pytest.mark.parametrize("cells", [pytest.param(cells, id=name) for name, cells in DOES_NOT_INVALIDATE.items()])
def test_what_executes_alike_is_not_stale(cells):
    """Comments, formatting, prose and other metadata are not in the key."""
    assert _key(*BASE) == _key(*cells)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x <- 1", "x <- 2", False),
        ("x <- 1", "x < -1", False),
        ("x <- 1", "x <- 1 # one", False),
        ("x <- 1", "x <- 1 \n\n", True),
    ],
)
def test_other_languages_count_as_text(one, other, same):
    """Every character counts but white space at the end of a cell."""
    assert same == (_key(_code(one), language="r") == _key(_code(other), language="r"))


def test_empty_cells_of_other_languages_do_not_count():
    """Cells without text are not there; markdown is not either."""
    assert _key(_code("ls"), language="bash") == _key(_text("a"), _code(" \n"), _code("ls"), language="bash")


def test_python_is_not_other_text():
    """The same text in another language is other code."""
    assert _key(_code("x")) != _key(_code("x"), language="julia")


def test_what_planning_learns():
    """Counting cells with their place and title, where parameters go and which there are, and imports."""
    identity = _identify(
        _text("# A"),
        _code("# nothing"),
        _code("\n# the inputs\ninputs = {}\nx, (y, *z) = 1, (2, 3)\nn: int = 1\nw[0] = u.v = 1", "parameters"),
        _code("%%time\nimport a"),
        _code("import b, a\n%time f()"),
    )
    assert [(cell.index, cell.title) for cell in identity.cells] == [
        (2, "# the inputs"),
        (3, "%%time"),
        (4, "import b, a"),
    ]
    assert msgspec.structs.replace(identity, cells=()) == NotebookIdentity(
        language="python",
        kernel=None,
        cells=(),
        injection=1,
        parameters=("inputs", "x", "y", "z", "n"),
        given=("inputs",),
        imports=Imports((Import("a"), Import("b"))),
    )
    assert (identity.takes_inputs, identity.takes_outputs) == (True, False)


@pytest.mark.parametrize(
    ("language", "code", "given"),
    [
        ("r", "inputs <- list()\nn = 1\noutputs = list()", ("inputs", "outputs")),
        ("julia", "inputs = Dict()\ncheck = outputs == 1", ("inputs",)),
        ("r", "# inputs <- list()\nmy.inputs <- 1", ()),
        ("bash", "inputs=1", ()),
    ],
)
def test_cells_of_other_languages_can_take_declared_paths(
    language: str, code: str, given: tuple[str, ...]
) -> None:
    """Of their parameters cell only these two names are known; bash can hold neither."""
    cell = Cell(kind="code", source=code, tags=("parameters",))
    found = identify(NotebookSource(language=language, kernel=None, cells=(cell,)))
    assert (found.parameters, found.given) == (None, given)


@pytest.mark.parametrize(
    ("cells", "language", "parameters"),
    [
        ((_code("x = 1"),), "python", ()),
        ((_text("x", "parameters"),), "python", ()),
        ((_code("x = = 1", "parameters"),), "python", None),
        ((_code("x = 1", "parameters"),), "julia", None),
    ],
)
def test_names_of_parameters(cells, language, parameters):
    """No parameters cell has no names, and one that we cannot read has unknown ones."""
    assert _identify(*cells, language=language).parameters == parameters


def test_an_identity_survives_json():
    """The memo keeps identities as JSON text."""
    identity = _identify(*BASE)
    assert msgspec.json.decode(msgspec.json.encode(identity), type=NotebookIdentity) == identity


def test_ingredients_name_cells_by_their_number_among_those_that_count():
    """A key explains itself by the number of a cell, as a record keeps its outputs."""
    identity = _identify(*BASE)
    assert list(identity.ingredients()) == [
        Ingredient("cell", "1", identity.cells[0].digest),
        Ingredient("cell", "2", identity.cells[1].digest),
        Ingredient("parameters cell", "", "1"),
    ]


def test_the_schema_names_versions_without_importing_them():
    """A memo is keyed by the versions of all that reading a notebook depends on."""
    from importlib.metadata import version

    program = (
        "import sys; from nbmake_dag_cache.identity import identity_schema; print(identity_schema())\n"
        "print({'IPython', 'jupytext', 'nbformat', 'importlib.metadata'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert shown == f"{identity_schema()}\nset()\n"
    python = ".".join(map(str, sys.version_info[:3]))
    versions = f"python={python} ipython={version('ipython')} jupytext={version('jupytext')}"
    assert identity_schema() == f"{FORMAT} {versions}"
