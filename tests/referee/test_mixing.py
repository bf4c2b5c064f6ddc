"""Mixes of two states: which changes lie between them, and files with some of these."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
import tomli

from nbmake_dag.core.model import ProjectPath
from nbmake_dag.referee.alignment import Pair, Text, aligned, difference
from nbmake_dag.referee.mixing import CellChange, NotebookSides, Sides
from nbmake_dag.referee.order import Absent, Bytes, Content
from nbmake_dag_cache.identity import identify
from nbmake_dag_cache.notebook import read_notebook

_PATH, _CONFIG = ProjectPath("train.py"), ProjectPath("pipeline.toml")
_BEFORE = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# Some text.

# %% tags=["parameters"]
depth = 3

# %%
# %matplotlib inline
C = 1.0
rounds = 10

# %%
gone = 1

# %%
print(C)
"""
_AFTER = (
    _BEFORE.replace("Some text", "Other text")
    .replace("C = 1.0", "C = 0.01  # smaller")
    .replace("print(C)\n", "print( C )\n\n# %%\nlast = 2\n")
    .replace("# %%\ngone = 1\n\n", "")
)


def _ipynb(text: str) -> bytes:
    cells = read_notebook(text.encode(), "a.py").cells
    made: list[Any] = [
        nbformat.v4.new_code_cell(cell.source, metadata={"tags": list(cell.tags)})
        if cell.kind == "code"
        else nbformat.v4.new_markdown_cell(cell.source)
        for cell in cells
    ]
    return json.dumps(nbformat.v4.new_notebook(cells=made)).encode()


def _sides(path: str = _PATH, *, before: bytes = _BEFORE.encode(), after: bytes = _AFTER.encode()) -> Sides:
    where = ProjectPath(path)
    return _settings({}, {}, [NotebookSides(before=before, after=after, path_before=where, path_after=where)])


def _settings(
    before: dict[str, Any], after: dict[str, Any], notebooks: list[NotebookSides] | None = None
) -> Sides:
    return Sides(
        config=_CONFIG,
        settings={_CONFIG: (before, after)},
        notebooks=notebooks or [],
        files={},
        overrides_before={},
        overrides_after={"lr": 0.1},
    )


def _data(content: Content) -> bytes:
    assert isinstance(content, Bytes)
    return content.data


def _code(data: bytes, path: str) -> list[str]:
    """Return the digests of the cells that count."""
    return [cell.digest for cell in identify(read_notebook(data, path)).cells]


@pytest.mark.parametrize("path", ["train.py", "train.ipynb"])
def test_each_cell_that_counts_is_a_change(path: str) -> None:
    """Text, comments and spaces are none; none of the changes is the first state, all of them the second."""
    texts = (_BEFORE.encode(), _AFTER.encode()) if path.endswith(".py") else (_ipynb(_BEFORE), _ipynb(_AFTER))
    sides = _sides(path, before=texts[0], after=texts[1])
    changes = [change for change in sides.changes() if isinstance(change, CellChange)]
    assert [str(change) for change in changes] == [
        f"cell 3 of {path} (C = 1.0 → 0.01)",
        f"cell 4 of {path} (removed)",
        f"cell 5 of {path} (new)",
    ]
    for some, text in (([], texts[0]), (changes, texts[1])):
        mixed = _data(sides.mixed(some, "blame 1")[0][ProjectPath(path)])
        assert _code(mixed, path) == _code(text, path)


def test_a_mix_has_the_cells_that_were_chosen() -> None:
    """The header and magics stay."""
    sides = _sides()
    chosen = [change for change in sides.changes() if "C = " in str(change)]
    mixed = _data(sides.mixed(chosen, "blame 1")[0][_PATH])
    assert _code(mixed, _PATH) == _code(_BEFORE.replace("1.0", "0.01").encode(), _PATH)
    assert read_notebook(mixed, _PATH).kernel == "python3"
    assert read_notebook(mixed, _PATH).cells[2].source.startswith("%matplotlib inline")


def test_each_value_of_the_pipeline_file_is_a_change() -> None:
    """What decides no result is none, nor is an empty table; values of tables that appear or go are."""
    before = {"cache": {"epoch": "a"}, "tasks": {"t": {"timeout": 1, "parameters": {"n": 1}, "env": {"A": "x"}}}}
    after = {
        "cache": {"epoch": "b"},
        "defaults": {},
        "parameters": {"depth": 2},
        "tasks": {"t": {"timeout": 2, "parameters": {"n": 1.0}, "inputs": ["in"]}},
    }
    sides = _settings(before, after)
    changes = sides.changes()
    assert [str(change) for change in changes] == [
        "tasks.t.parameters.n (1 → 1.0)",
        'tasks.t.env.A ("x" → not set)',
        "parameters.depth (not set → 2)",
        'tasks.t.inputs (not set → ["in"])',
        "-p lr (not set → 0.1)",
    ]
    files, overrides = sides.mixed(changes[1:3], "blame 1")
    assert tomli.loads(_data(files[_CONFIG]).decode()) == {
        "cache": {"epoch": "a blame 1"},
        "parameters": {"depth": 2},
        "tasks": {"t": {"timeout": 1, "parameters": {"n": 1}}},
    }
    assert overrides == {}
    assert sides.mixed(changes, "blame 1")[1] == {"lr": 0.1}


def test_values_of_parts_are_changes_of_their_own() -> None:
    """A part that only one side has is empty in the other."""
    part = ProjectPath("etl/pipeline.toml")
    sides = Sides(
        config=_CONFIG,
        settings={
            _CONFIG: ({"parameters": {"n": 1}}, {"pipeline": {"parts": [part]}, "parameters": {"n": 2}}),
            part: ({}, {"parameters": {"n": 2}}),
        },
        files={},
        overrides_before={},
        overrides_after={},
    )
    changes = sides.changes()
    assert [*map(str, changes)] == ["parameters.n (1 → 2)", "etl/pipeline.toml: parameters.n (not set → 2)"]
    files, _ = sides.mixed(changes[1:], "blame 1")
    assert {path: tomli.loads(_data(data).decode()) for path, data in files.items()} == {
        _CONFIG: {"pipeline": {"parts": [part]}, "parameters": {"n": 1}, "cache": {"epoch": "blame 1"}},
        part: {"parameters": {"n": 2}},
    }


def test_files_come_from_one_side_or_the_other() -> None:
    """One that is new is absent without its change."""
    which = ("module", ProjectPath("new.py"))
    sides = Sides(
        config=_CONFIG,
        settings={_CONFIG: ({}, {})},
        files={which: (Absent(), Bytes(b"a = 1"))},
        overrides_before={},
        overrides_after={},
    )
    (change,) = sides.changes()
    assert str(change) == "module new.py (new)"
    assert sides.mixed([], "x")[0][which[1]] == Absent()
    assert sides.mixed([change], "x")[0][which[1]] == Bytes(b"a = 1")


def test_cells_are_paired_by_equality_and_then_by_likeness() -> None:
    """As the site pairs them: half of the lines make two cells one."""
    before = [Text("code", "a = 1\nb = 2"), Text("code", "x"), Text("markdown", "text")]
    after = [Text("code", "new"), Text("code", "a = 1\nb = 3"), Text("markdown", "text")]
    assert set(aligned(before, after)) == {Pair(None, 0), Pair(0, 1), Pair(1, None), Pair(2, 2)}


def test_a_change_of_one_line_is_shown_from_where_it_begins_to_differ() -> None:
    """More than one is not shown."""
    assert difference("a = 1\nC = 1.0", "a = 1\nC = 0.01") == "C = 1.0 → 0.01"
    assert difference("fit(x, depth=3)", "fit(x, depth=12)") == "depth=3 → 12"
    assert difference("return value", "return value / 2") == "return value → return value / 2"
    assert difference("f(x)", "f(x, y)") == "f(x) → f(x, y)"
    assert difference(f"a = {'1' * 99}", "a = 2") == f"a = {'1' * 55}… → 2"
    assert difference("a = 1", "a = 1\nb = 2") == "b = 2 added"
    assert difference("a\nb", "c\nd") == ""
