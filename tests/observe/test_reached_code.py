"""The code that a command reaches: by whatever way it comes to be imported or started."""

from __future__ import annotations

from pathlib import Path

from nbmake_dag.core.model import TaskName
from tests.observe.surveys import prepared_in
from tests.support.project import Project

CASES: dict[str, tuple[str, dict[str, str], str]] = {
    "import_path": ("PYTHONPATH=lib python s.py", {"s.py": "import h"}, "lib/h.py"),
    "beside": ("python sub/s.py", {"sub/s.py": "sys.path.append('lib'); import h", "h.py": ""}, "lib/h.py"),
    "archive": ("python s.py", {"s.py": "import sys; sys.path.append('lib.zip'); import h"}, "lib.zip"),
    "compiled": ("python s.py", {"s.py": "import h"}, "h.so"),
    "compiled_first": ("python s.py", {"s.py": "import h", "h.py": ""}, "h.abi3.so"),
    "folder": ("python pkg", {}, "pkg/__main__.py"),
    "without_ending": ("python s", {"s": "import h"}, "h.py"),
    "tests": ("pytest -q tests", {}, "tests/test_a.py"),
    "notebook": ("papermill n.ipynb x.ipynb", {}, "n.ipynb"),
    "perl": ("perl m.pl", {"m.pl": "require './l.pl';"}, "l.pl"),
    "r": ("Rscript -e 'source(\"l.R\")'", {}, "l.R"),
    "makefile": ("make -C sub", {"sub/Makefile": "include ../x.mk", "x.mk": "all:\n\t@sh run\n"}, "sub/run"),
    "own_folder": (
        "bash m.sh",
        {"m.sh": 'D="$( cd -- "$( dirname -- "${BASH_SOURCE[0]}" )" &> /dev/null && pwd )"\nsh "$D/run"'},
        "run",
    ),
    "named": ("python s.py", {"s.py": "def go(p): subprocess.run(['python', p])\ngo('sub/g.py')"}, "sub/g.py"),
    "entered": ("python s.py", {"s.py": "import os; os.chdir('sub'); os.system('sh run')"}, "sub/run"),
    "for_children": (
        "python s.py",
        {"s.py": "run(['python', '-m', 'h'], env={**os.environ, 'PYTHONPATH': 'lib'})"},
        "lib/h.py",
    ),
}  # fmt: skip


def test_an_edit_of_code_that_a_command_reaches_changes_its_key(tmp_path: Path) -> None:
    """One file of each case is the only change, and is seen: when it is new, and when it is edited."""
    project = Project(tmp_path / "project")
    for name, (_, files, _) in CASES.items():
        (project / name).mkdir()
        for path, text in files.items():
            project.write(f"{name}/{path}", text)
    tasks = (
        f"[tasks.{name}]\ncommand = '''{command}'''\nworkdir = '{name}'\n"
        for name, (command, _, _) in CASES.items()
    )
    project.pipeline("".join(tasks))
    absent, new, edited = (_keys_with(project, text) for text in (None, "1", "2"))
    assert [name for name in CASES if absent[name] == new[name]] == []
    assert [name for name in CASES if new[name] == edited[name]] == []


def test_a_script_imports_from_where_links_to_it_end(tmp_path: Path) -> None:
    """Python does so, through links to the file, to links and to folders, and however the project is named."""
    project = (
        Project(tmp_path / "project").write("real/s.py", "import h").write("real/h.py", "1").write("h.py", "1")
    )
    project.pipeline(
        "".join(f"[tasks.{name}]\ncommand = 'python {name}/s.py'\n" for name in ("file", "hop", "folder"))
    )
    (project / "file").mkdir()
    (project / "hop").mkdir()
    (project / "file/s.py").symlink_to("../real/s.py")
    (project / "hop/s.py").symlink_to("../file/s.py")
    (project / "folder").symlink_to("real")
    (tmp_path / "alias").symlink_to(project.root)
    before = _keys(project)
    project.write("h.py", "2")
    assert _keys(project) == before
    project.write("real/h.py", "2")
    after = _keys(project)
    assert [name for name in before if after[name] == before[name]] == []
    assert _keys(Project(tmp_path / "alias")) == after


def test_code_that_asks_where_links_to_it_end_is_followed_there(tmp_path: Path) -> None:
    """A script and a module of Python, and one of shell."""
    asking = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parent / "lib"))
import h
"""
    project = (
        Project(tmp_path / "project")
        .write("real/s.py", asking)
        .write("real/m.py", asking)
        .write("go.py", "import m")
    )
    project.write("real/s.sh", 'sh "$(dirname "$(readlink -f "$0")")/lib/h.sh"\n')
    for name in ("s.py", "m.py", "s.sh"):
        (project / name).symlink_to(f"real/{name}")
    commands = {"script": "python s.py", "module": "python go.py", "shell": "sh s.sh"}
    project.pipeline("".join(f"[tasks.{name}]\ncommand = '{command}'\n" for name, command in commands.items()))
    before = _keys(project)
    project.write("real/lib/h.py", "1").write("real/lib/h.sh", "1")
    after = _keys(project)
    assert [name for name in commands if after[name] == before[name]] == []


def test_whether_a_script_can_be_executed_counts(tmp_path: Path) -> None:
    """One that names its interpreter is started by its name."""
    project = Project(tmp_path / "project").pipeline('[tasks.t]\ncommand = "./run"\n').write("run", "#!/bin/sh\n")
    before = _keys(project)
    (project / "run").chmod(0o755)
    assert _keys(project) != before


def _keys_with(project: Project, text: str | None) -> dict[str, str]:
    """Write the file of each case, and return the key of each."""
    for name, (_, _, path) in CASES.items() if text else ():
        project.write(f"{name}/{path}", text or "")
    return _keys(project)


def _keys(project: Project) -> dict[str, str]:
    with prepared_in(project) as (prepared, _):
        return {name: prepared.facts[TaskName(name)].own_key for name in prepared.graph.order}
