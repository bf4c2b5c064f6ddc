"""Local modules are found first, compiled from source, and named when the work is over."""

from __future__ import annotations

import os

import pytest

_START = "import nbmake_dag.inside.start as s\ns.start()\n"


@pytest.fixture(autouse=True)
def _bytecode_is_written(monkeypatch):
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


def test_a_stale_bytecode_file_is_never_trusted(project):
    """Same size, same mtime, other code: Python alone would run the old one."""
    module = project.write("helper.py", "VALUE = 1\n")
    os.utime(module, (1_000_000_000, 1_000_000_000))
    project.python("import sys; sys.path.insert(0, '.'); import helper")
    assert list((project.root / "__pycache__").iterdir())
    module.write_text("VALUE = 2\n")
    os.utime(module, (1_000_000_000, 1_000_000_000))
    code = "import helper; print(helper.VALUE)"
    assert project.python("import sys; sys.path.insert(0, '.')\n" + code).stdout == "1\n"
    assert project.python(_START + code).stdout == "2\n"


def test_loaders_that_users_and_editable_installs_make_compile_from_source_too(project):
    """They go by another way than ``sys.path``."""
    module = project.write("src/helper.py", "VALUE = 1\n")
    os.utime(module, (1_000_000_000, 1_000_000_000))
    code = """
import importlib.util
spec = importlib.util.spec_from_file_location("helper", "src/helper.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.VALUE)
"""
    project.python(code)
    module.write_text("VALUE = 2\n")
    os.utime(module, (1_000_000_000, 1_000_000_000))
    assert project.python(code).stdout == "1\n"
    assert project.python(_START + code).stdout == "2\n"


def test_no_bytecode_is_written_for_local_modules_and_others_keep_theirs(project):
    """The repository stays as it was; libraries are as fast as ever."""
    project.write("helper.py", "")
    library = project.root.parent / "library"
    library.mkdir()
    (library / "other.py").write_text("")
    project.python(_START + f"import sys; sys.path.append({str(library)!r}); import helper, other")
    assert not (project.root / "__pycache__").exists()
    assert (library / "__pycache__").exists()


def test_the_root_then_the_source_folder_come_first(project):
    """Also when the working directory is another."""
    project.write("helper.py", "WHERE = 'root'")
    project.write("notebooks/helper.py", "WHERE = 'notebooks'")
    project.write("notebooks/near.py", "WHERE = 'near'")
    project.extra = {"NBDAG_SOURCE_DIR": str(project.root / "notebooks")}
    done = project.python(
        _START + "import helper, near, sys; print(helper.WHERE, near.WHERE, len(sys.path) - len({*sys.path}))"
    )
    assert done.stdout == "root near 0\n"


def test_the_local_modules_that_were_really_loaded_are_named(project):
    """Dynamic and lazy imports and packages count; libraries, nbdag and what was not imported do not."""
    project.write("a.py", "import b")
    project.write("b.py", "")
    project.write("pkg/__init__.py", "")
    project.write("pkg/deep/c.py", "")
    project.write("late.py", "")
    project.write("unused.py", "")
    project.python(
        _START + "import a, json, importlib; importlib.import_module('pkg.deep.c')\ns.finish()\nimport late"
    )
    assert project.folded().modules == ("a.py", "b.py", "late.py", "pkg/__init__.py", "pkg/deep/c.py")


def test_a_lazy_module_is_left_asleep(project):
    """Asking a module for its file may load half a library, or fail."""
    project.python(
        _START
        + """
import sys, types
class Lazy(types.ModuleType):
    def __getattr__(self, name):
        raise RuntimeError("woken up")
sys.modules["lazy"] = Lazy("lazy")
sys.modules["not_a_module"] = object()
"""
    )
    assert project.folded().modules == ()


def test_without_a_run_start_was_not_called_and_finish_says_nothing(project):
    """A process that was not started by us has nothing to tell."""
    project.python("import nbmake_dag.inside.start as s; s.finish()")
    assert list(project.scratch.iterdir()) == []
