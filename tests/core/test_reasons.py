"""Why a task is stale, in a line."""

from __future__ import annotations

import pytest

from nbmake_dag.core.lookup import read_name
from nbmake_dag.core.model import Function, Notebook, ProjectPath, Task
from nbmake_dag.core.reasons import changes, describe
from nbmake_dag_cache.key import Ingredient
from nbmake_dag_reporting.cell_ref import CellRef
from tests.core.builders import task

NOTEBOOK = task("train", work=Notebook(path=ProjectPath("train.py")))
AUC = read_name("bench", "metrics", "auc")


def _cells(text: str) -> list[Ingredient]:
    return [Ingredient("cell", str(number), letter) for number, letter in enumerate(text, 1)]


def _said(before: list[Ingredient], now: list[Ingredient], of: Task = NOTEBOOK) -> list[str]:
    return [describe(change, of, [CellRef(index) for index in (1, 3, 5, 7, 9)]) for change in changes(before, now)]


@pytest.mark.parametrize(
    ("kind", "name", "before", "now", "said"),
    [
        ("parameter", "depth", "1", "1.0", "parameter: depth 1 -> 1.0"),
        ("parameter", "depth", None, "1", "parameter: depth added"),
        ("parameter", "depth", "1", None, "parameter: depth removed"),
        ("input", ("digits", "data/d.npy"), "1", "2", "input: data/d.npy changed"),
        ("input", ("my: data", "a: b.txt"), "1", "2", "input: a: b.txt changed"),
        ("input", ("0", "t/2.csv"), None, "2", "input: t/2.csv added"),
        ("input", ("0", "t/2.csv"), "2", None, "input: t/2.csv removed"),
        ("folder", ("0", "raw/"), None, "", "folder: raw/ added"),
        ("module", "helper.py", "1", "2", "module: helper.py changed"),
        ("lockfile", "requirements.lock", "1", "2", "lockfile: requirements.lock changed"),
        ("variable", "OMP_NUM_THREADS", "unset", "2", "variable: OMP_NUM_THREADS changed"),
        ("env", "MODE", "fast", "slow", "env: MODE fast -> slow"),
        ("package", "numpy", "2.0", "2.1", "package: numpy 2.0 -> 2.1"),
        ("kernel", "", "python3 3.11", "python3 3.12", "kernel python3 3.11 -> python3 3.12"),
        ("command", "", "one", "two", "command: two"),
        ("output", ("0", "m.onnx"), None, "", "declared outputs: m.onnx added"),
        ("read", AUC, "1", "2", "upstream value: bench metrics.auc"),
        ("read", read_name("bench", "tags", None), "1", "2", "upstream value: bench the names of tags"),
        ("read", read_name("", "tasks", None), "1", "2", "upstream value: the names of tasks"),
    ],
)
def test_a_change_is_said_in_a_line(
    kind: str, name: str | tuple[str, str], before: str | None, now: str | None, said: str
) -> None:
    """What is short is shown before and after, what is a digest has changed."""
    label, path = name if isinstance(name, tuple) else (name, "")
    old = [] if before is None else [Ingredient(kind, label, before, path=path)]
    new = [] if now is None else [Ingredient(kind, label, now, path=path)]
    assert _said(old, new) == [said]


def test_another_kind_of_work_is_one_change() -> None:
    """What only one kind has is not told besides."""
    notebook = [*_cells("ab"), Ingredient("parameters cell", "", "0"), Ingredient("kernel", "", "python3 3.11")]
    command = [Ingredient("command", "", "true"), Ingredient("parameter", "n", "1")]
    assert _said(notebook, command) == ["kind of work: notebook -> command", "parameter: n added"]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("abc", "abc", []),
        ("abc", "axc", ["code: train.py, cell 4"]),
        ("abc", "abxc", ["code: train.py, cell 6 added"]),
        ("abc", "ac", ["code: train.py, cell 4 removed"]),
        ("abc", "abcx", ["code: train.py, cell 8 added"]),
        ("abc", "xabc", ["code: train.py, cell 2 added"]),
        ("abc", "ab", ["code: train.py, cell 6 removed"]),
        ("abcd", "axyd", ["code: train.py, cell 4", "code: train.py, cell 6"]),
        ("abcd", "axcy", ["code: train.py, cell 4", "code: train.py, cell 8"]),
        ("aab", "ab", ["code: train.py, cell 4 removed"]),
        ("", "a", ["code: train.py, cell 2 added"]),
    ],
)
def test_cells_are_aligned(before: str, now: str, said: list[str]) -> None:
    """One cell inserted is one change; the numbers are places in the file."""
    assert _said(_cells(before), _cells(now)) == said


def test_the_most_telling_change_comes_first() -> None:
    """Code before parameters, those before data, then the rest by name."""
    new = [
        Ingredient("output", "0", "", path="m"),
        Ingredient("unheard_of", "z", "1"),
        Ingredient("input", "0", "1", path="b"),
        Ingredient("input", "0", "1", path="a"),
        Ingredient("parameter", "depth", "1"),
        *_cells("ab"),
    ]
    assert _said([], new) == [
        "code: train.py, cell 2 added",
        "code: train.py, cell 4 added",
        "parameter: depth added",
        "input: a added",
        "input: b added",
        "declared outputs: m added",
        "unheard_of: z added",
    ]


def test_the_source_of_a_task_is_named_as_its_user_knows_it() -> None:
    """A notebook by its file, a function by module and name, a command by its task."""
    works = (task("t", work=Function(module="work", qualname="fit")), task("t", work="run"))
    assert [_said(_cells("a"), _cells("b"), of)[0] for of in works] == [
        "code: work:fit, cell 2",
        "code: t, cell 2",
    ]
