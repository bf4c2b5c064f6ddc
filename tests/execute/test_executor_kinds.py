"""The executors that are registered, and who may know their names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nbmake_dag
from nbmake_dag.core.model import Pipeline
from nbmake_dag.errors import UsageError
from nbmake_dag.execute.executor_kind import BuildContext
from nbmake_dag.execute.executors import AUTO, KINDS, ONE_AT_A_TIME, configured
from nbmake_dag.observe.project import Project

PACKAGE = Path(nbmake_dag.__file__).parent
OWN = {"execute/inline.py", "execute/ray/kind.py"}


def context(**changes) -> BuildContext:
    project = Project(config="/p/pipeline.toml", root="/p", repository="/p")
    given = {
        "project": project,
        "pipeline": Pipeline(name="p", tasks={}),
        "variables": {},
        "options": {},
        "jobs": 2,
        "shared_cache": lambda: (None, ()),
    }
    return BuildContext(**{**given, **changes})


def names(wanted: str, **changes) -> list[str]:
    return [backend.name for backend in configured(wanted, context(**changes))]


def test_no_other_module_knows_the_name_of_an_executor():
    """Who adds one writes its module, and registers it."""
    known = {kind.name for kind in KINDS}
    naming = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and node.value in known
    }
    assert naming == OWN


def test_a_build_may_choose_or_is_told():
    """In the order in which they are started."""
    assert names(AUTO) == [kind.name for kind in KINDS]
    for kind in KINDS:
        assert names(kind.name) == [kind.name]


def test_an_executor_with_other_machines_takes_everything_where_a_build_may_choose():
    """Whether the address comes from an option or from the environment; a build that is told stays here."""
    assert names(AUTO, options={"ray-address": "there:1"}) == ["ray"]
    assert names(AUTO, variables={"RAY_ADDRESS": "there:1"}) == ["ray"]
    assert names(ONE_AT_A_TIME, variables={"RAY_ADDRESS": "there:1"}) == [ONE_AT_A_TIME]


def test_an_option_of_another_executor_is_refused():
    """It would have no effect."""
    with pytest.raises(UsageError, match="`--ray-address` does not go with `--executor=inline`"):
        names(ONE_AT_A_TIME, options={"ray-address": "there:1"})
