"""Files that Python code opens inside the repository are noted, and nothing else happens."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nbmake_dag.inside.repository import Repository
from nbmake_dag_cache.record import Access

_START = "import nbmake_dag.inside.start as s\ns.start()\n"


def _accesses(project, code):
    project.python(_START + code)
    return {access.path: access.mode for access in project.accesses()}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open('data/a.txt').read()", {"data/a.txt": "read"}),
        ("open(b'data/a.txt').read()", {"data/a.txt": "read"}),
        ("import pathlib; pathlib.Path('data/../data/a.txt').read_text()", {"data/a.txt": "read"}),
        ("import os; os.close(os.open(os.path.abspath('data/a.txt'), os.O_RDONLY))", {"data/a.txt": "read"}),
        ("open('new', 'w').close()", {"new": "write"}),
        ("open('data/a.txt', 'r+').close()", {"data/a.txt": "write"}),
        ("open('data/a.txt').close(); open('data/a.txt', 'a').close()", {"data/a.txt": "write"}),
        ("import os; open('t', 'w').close(); os.replace('t', 'final')", {"final": "write"}),
        (
            "import os; os.chdir('data'); open('a.txt').close(); os.chdir('/'); open('/etc/passwd')",
            {"data/a.txt": "read"},
        ),
        ("import sqlite3; sqlite3.connect('data/a.txt')", {"data/a.txt": "read"}),
        ("import numpy; numpy.save('a.npy', numpy.ones(2)); numpy.load('a.npy')", {"a.npy": "write"}),
        ("import pandas; pandas.read_csv('data/a.txt')", {"data/a.txt": "read"}),
        ("import os, contextlib\nwith contextlib.suppress(OSError): open('missing')", {}),
        ("import os; open('temporary', 'w').close(); os.remove('temporary')", {}),
        ("import os; os.close(os.open('data', os.O_RDONLY))", {}),
        ("import os; open(os.dup(0)).close()", {}),
        ("open('.git/config').close(); open('.nbdag/x').close()", {}),
        (
            "import helper, traceback\ntry: helper.fail()\nexcept ValueError: traceback.format_exc()",
            {},
        ),
        (
            "import os\nif os.fork() == 0:\n    open('data/a.txt').close()\n    os._exit(0)\nos.wait()",
            {"data/a.txt": "read"},
        ),
    ],
)
def test_what_is_opened_inside_the_repository_is_noted(project, code, expected):
    """Reads and writes of files that are there at the end; imports, folders, git's and our files are left out."""
    project.write("data/a.txt", "a\n1\n")
    project.write(".git/config", "")
    project.write(".nbdag/x", "")
    project.write("helper.py", "def fail(): raise ValueError")
    assert _accesses(project, code) == expected


def test_a_process_of_multiprocessing_is_seen_when_it_is_forked(project):
    """Its end runs no exit handlers of ours, so it writes at once."""
    project.write("data/a.txt", "a")
    code = """
import multiprocessing
def read(): open('data/a.txt').read()
process = multiprocessing.get_context('fork').Process(target=read)
process.start()
process.join()
"""
    assert _accesses(project, code) == {"data/a.txt": "read"}


def test_a_repository_reached_by_a_symlink_is_the_same(project):
    """The working directory has the real path, the run may call it by another."""
    project.write("a.txt", "a")
    link = project.root.parent / "link"
    link.symlink_to(project.root)
    project.root = link
    assert _accesses(project, "open('a.txt').close()") == {"a.txt": "read"}


def test_a_module_that_was_loaded_is_no_undeclared_read_but_any_other_source_is(project):
    """Reading a source to show it in a traceback is not reading data; what is not imported is data."""
    project.write("loaded.py", "")
    project.write("other.py", "")
    assert _accesses(project, "import loaded; open('loaded.py').read(); open('other.py').read()") == {
        "other.py": "read"
    }


def test_the_hook_changes_no_result_and_no_error_of_users_code(project):
    """Whatever is passed to ``open`` fails as it would without us."""
    code = """
import os
for path in (None, 1.5, object(), "", "\\0", "a" * 5000, b"\\xff", -1, "\\ud800"):
    for flags in ("r", "nonsense"):
        try:
            open(path, flags)
        except BaseException as error:
            print(type(error).__name__, error if "object" not in str(error) else "")
try:
    os.open("missing", os.O_RDONLY, dir_fd=99)
except OSError as error:
    print(error)
"""
    assert project.python(_START + code).stdout == project.python(code).stdout
    assert project.accesses() == ()


def test_a_torn_line_is_left_out(project):
    """A process may be killed while it writes."""
    file = project.write("a.txt", "")
    (project.scratch / "access.jsonl").write_text(f'{{"path":"{file}","mode":"read"}}\n{{"path":"/x')
    assert project.accesses() == (Access(path="a.txt", mode="read"),)


def test_the_environment_inside_the_repository_is_not_the_users(tmp_path, monkeypatch):
    """A ``.venv`` in the project folder is software, not data."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    repository = Repository(str(tmp_path))
    assert repository.locate(str(tmp_path / ".venv" / "lib" / "x.py")) is None
    assert repository.locate(str(tmp_path / ".venvs")) == str(tmp_path / ".venvs")


@pytest.mark.parametrize("name", [".git/x", "a/.nbdag/x", "a/__pycache__/x.pyc", "../x", "../project2"])
def test_what_is_not_the_users_is_not_located(tmp_path, name):
    """Neither git's files nor ours, nor what lies next to the repository."""
    assert Repository(str(tmp_path / "project")).locate(str(tmp_path / "project" / name)) is None


def test_accesses_of_a_task_below_the_repository_are_relative_to_its_root(project):
    """The pipeline's folder may lie below the git root."""
    project.write("shared/a.txt", "a")
    project.write("pipeline/b.txt", "b")
    repository, project.root = project.root, project.root / "pipeline"
    project.extra = {"NBDAG_REPOSITORY": str(repository)}
    project.python(_START + "open('../shared/a.txt'); open('b.txt')")
    assert project.accesses() == (Access(path="../shared/a.txt", mode="read"), Access(path="b.txt", mode="read"))
    assert Path(project.root).name == "pipeline"
