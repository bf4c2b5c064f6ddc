"""The no-op check sees a change of every kind of ingredient."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from nbmake_dag.engine.noop import Unchanged

ROOT = Path(__file__).resolve().parents[2]
SEEN_BY = {
    "format": "signature",
    "epoch": "paths",
    "cell": "paths",
    "allow errors": "paths",
    "parameters cell": "paths",
    "function": "paths",
    "code": "paths",
    "command": "paths",
    "parameter": "paths",
    "workdir": "paths",
    "env": "paths",
    "secret": "paths",
    "output": "paths",
    "named": "paths",
    "input": "paths",
    "gathered": "paths",
    "module": "paths",
    "lockfile": "paths",
    "locked": "paths",
    "glob": "folders",
    "folder": "folders",
    "package": "folders",
    "kernel": "folders",
    "variable": "variables",
    "read": "records",
}
"""By what a change is seen: files, folders, variables, the name of the file, or the records of the tasks above."""
MAKERS = {"Ingredient", "_shared"}
READERS = {"environ", "environb", "getenv", "expandvars", "expanduser", "which", "get_exec_path"}
"""What reads the environment, in the standard library."""


def _kinds() -> set[str]:
    """Return the first argument of every ingredient that the sources make, where it is written out."""
    return {
        call.args[0].value
        for package in ("nbmake_dag", "cache/nbmake_dag_cache")
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in MAKERS
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def test_each_kind_of_ingredient_says_how_the_no_op_check_sees_it_change() -> None:
    """A new kind needs a row; ``read`` is a kind of traces, whose ingredients are made from recorded kinds."""
    assert _kinds() | {"read"} == SEEN_BY.keys()


@pytest.mark.parametrize("way", sorted(set(SEEN_BY.values())))
def test_a_way_to_see_a_change_is_a_part_of_the_no_op_file(way: str) -> None:
    """What a row names is a field of the file, or its name."""
    assert way in {*Unchanged.__struct_fields__, "signature"}


def test_what_looks_at_the_machine_reads_variables_where_they_are_noted() -> None:
    """Nothing below `observe` reads the environment by itself, so that no variable can decide and go unnoticed.

    `ci` describes a run and decides nothing; the survey hands the whole environment on to tasks, and `git`
    what means no other repository to git.
    """
    readers = {
        (path.stem, ast.unparse(node))
        for path in (ROOT / "nbmake_dag/observe").glob("*.py")
        if path.stem not in {"ci", "git", "variables"}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in READERS
    }
    assert readers == {("survey", "self._look.variables.environ")}
