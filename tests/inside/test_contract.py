"""What runs inside a user's interpreter needs the standard library and Python 3.9, whatever nbdag itself needs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

import nbmake_dag
from nbmake_dag import inside
from tests.support.attempts import Project

PACKAGE = Path(inside.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
IN_IPYKERNEL = {"snapshot", "zygote"}
"""Modules that only a process that is, or becomes, an ipykernel imports."""
NEWER_THAN_3_9 = {"annotationlib", "compression", "tomllib"}
STANDARD = sys.stdlib_module_names - NEWER_THAN_3_9


def imported(path: Path) -> Iterator[str]:
    """Yield the names of the modules that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, level=level):
                yield "." * level + (module or "")


def of_ipykernel() -> set[str]:
    """Return what a Python that has ipykernel can import: its packages and those of what it requires."""
    wanted = {"ipykernel", *(re.split(r"[^\w.-]", text)[0].lower() for text in requires("ipykernel") or ())}
    return {name for name, owners in packages_distributions().items() if wanted & set(map(str.lower, owners))}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_the_standard_library_and_its_siblings(module: str) -> None:
    """Two modules may import ipykernel and what it requires too: they run where that is installed."""
    allowed = STANDARD | (of_ipykernel() if module in IN_IPYKERNEL else set())
    names = {
        name for name in imported(PACKAGE / f"{module}.py") if not f"{name}.".startswith(f"{inside.__name__}.")
    }
    assert {name for name in names if name.partition(".")[0] not in allowed} == set()


@pytest.mark.parametrize("path", [Path(nbmake_dag.__file__), *PACKAGE.glob("*.py")], ids=lambda path: path.stem)
def test_a_module_has_the_syntax_of_python_3_9(path: Path) -> None:
    """The oldest Python whose kernels are started can parse it."""
    ast.parse(path.read_text(), feature_version=(3, 9))


CALLS = """
import importlib, os, sys
root, *modules = sys.argv[1:]
sys.path.insert(0, root)
for module in modules:
    importlib.import_module("nbmake_dag.inside." + module)
from nbmake_dag.inside.start import start
start()
import nbmake_dag as nbdag
nbdag.log_metric("auc", 0.5, 1)
nbdag.log_metrics({"loss": 1})
nbdag.log_params({"depth": 3})
nbdag.set_tags({"stage": "dev"})
nbdag.log_text("hello", "note.txt")
nbdag.log_table([{"a": 1}, {"a": 2}], "table.json")
nbdag.log_artifact("kept.txt")
print({task: dict(logged.metrics) for task, logged in nbdag.upstream().items()})
"""


@pytest.mark.python39
def test_a_task_can_log_in_python_3_9(project: Project) -> None:
    """Without any package installed, each module is imported and every kind of call leaves its line."""
    project.write("kept.txt", "kept")
    (project.scratch / "upstream.json").write_text('{"above": []}')
    modules = [module for module in MODULES if module not in {"snapshot", "__init__"}]
    done = subprocess.run(
        ["python3.9", "-ISc", CALLS, str(PACKAGE.parents[1]), *modules],
        cwd=project.root,
        env=project.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "{}\n")
    logged = project.folded().logged
    assert (set(logged.metrics), logged.params, logged.tags) == ({"auc", "loss"}, {"depth": 3}, {"stage": "dev"})
    assert set(logged.artifacts) == {"note.txt", "table.json", "kept.txt"}
    assert [access.path for access in project.accesses() if access.mode == "read"] == ["kept.txt"]
